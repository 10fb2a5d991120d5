package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/internal/stall"
	"rollcall/rooms"
)

// patience bounds every wait in the tests; a passing test never needs it.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(stockEnv) != "" {
		serveStock() // a subprocess of traps_test.go
		return
	}
	os.Exit(m.Run())
}

// domain is a Handler for tests. Its events: `burst` n sends n `tick`s, `big` n
// sends one event of n bytes, `mark` x is recorded, `marks` is answered with
// what was recorded, `gate` waits until the test opens the gate.
type domain struct {
	srv      *Server
	connects atomic.Int64
	gate     chan struct{}
	accepted sync.Map // the server's connections, by the address of the client

	mu      sync.Mutex // guards all below
	present map[string]rooms.Conn
	marks   map[string][]json.RawMessage
	reasons []rooms.Reason
}

func (d *domain) Connect(c rooms.Conn, h rooms.Handshake) (rooms.Session, error) {
	if h.Query.Get("refuse") != "" || h.Auth["refuse"] == "yes" {
		return nil, &rooms.Refusal{Code: "refused", Message: "as asked"}
	}
	d.connects.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.present[c.ID()] != nil {
		return nil, fmt.Errorf("%s connected twice", c.ID())
	}
	d.present[c.ID()] = c
	if n, _ := strconv.Atoi(h.Query.Get("early")); n > 0 {
		c.Send(d.ticks(n))
	}
	return guest{d, c}, nil
}

// guest is a socket that the domain has taken.
type guest struct {
	*domain
	conn rooms.Conn
}

func (d guest) Handle(event string, args []json.RawMessage, attachments [][]byte) (map[string]any, error) {
	if len(attachments) > 0 {
		return nil, &rooms.Refusal{Code: "binary_not_supported", Message: "Events carry JSON only."}
	}
	c := d.conn
	n := 0
	if len(args) > 0 {
		json.Unmarshal(args[0], &n)
	}
	switch event {
	case "burst":
		for i := range n {
			c.Send(d.srv.Encode(rooms.Event{Name: "tick", Args: []json.RawMessage{[]byte(strconv.Itoa(i))}}))
		}
	case "big":
		filler, _ := json.Marshal(strings.Repeat("x", n))
		c.Send(d.srv.Encode(rooms.Event{Name: "big", Args: []json.RawMessage{filler}}))
	case "mark":
		d.mu.Lock()
		d.marks[c.ID()] = append(d.marks[c.ID()], bytes.Clone(args[0]))
		d.mu.Unlock()
	case "marks":
		d.mu.Lock()
		defer d.mu.Unlock()
		return map[string]any{"marks": d.marks[c.ID()]}, nil
	case "gate":
		<-d.gate
	case "close":
		c.Close(true)
	case "dismiss":
		c.Close(false)
	case "panic":
		panic("as asked")
	default:
		return nil, &rooms.Refusal{Code: "unknown_event", Message: "no such event"}
	}
	return nil, nil
}

func (d guest) Disconnect(reason rooms.Reason) {
	c := d.conn
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.present[c.ID()] == nil {
		panic("disconnected without having connected: " + c.ID())
	}
	delete(d.present, c.ID())
	d.reasons = append(d.reasons, reason)
}

func (d *domain) ticks(n int) rooms.Frames {
	var events []rooms.Event
	for i := range n {
		events = append(events, rooms.Event{Name: "tick", Args: []json.RawMessage{[]byte(strconv.Itoa(i))}})
	}
	return d.srv.Encode(events...)
}

func (d *domain) conns() []rooms.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []rooms.Conn
	for _, c := range d.present {
		list = append(list, c)
	}
	return list
}

// panicLog fails the test when the server logs a panic that it survived.
type panicLog struct {
	slog.Handler
	t testing.TB
}

func (p panicLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "panic") {
		p.t.Errorf("the server survived a panic: %s", r.Message)
		r.Attrs(func(a slog.Attr) bool { p.t.Log(a); return true })
	}
	return nil
}

func (p panicLog) Enabled(context.Context, slog.Level) bool { return true }

// start serves the wire layer over the test domain.
func start(t testing.TB, opts Options) (*domain, string) {
	t.Helper()
	if opts.Log == nil {
		opts.Log = slog.New(panicLog{slog.DiscardHandler, t})
	}
	setDefault(&opts.CloseTimeout, 100*time.Millisecond)
	s := New(opts)
	d := &domain{srv: s, gate: make(chan struct{}), present: map[string]rooms.Conn{}, marks: map[string][]json.RawMessage{}}
	s.Serve(d)
	server := httptest.NewUnstartedServer(headerTwice(s))
	server.Listener = stall.Listen(server.Listener, s.opts.WriteTimeout)
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			d.accepted.Store(c.RemoteAddr().String(), c)
		}
	}
	server.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Stop(ctx, 0)
		server.Close()
	})
	return d, server.URL
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// client is a raw WebSocket client: it knows Engine.IO packets, no more.
type client struct {
	conn *websocket.Conn
	sid  string
}

func endpoint(base, transport string, protocol int, more string) string {
	u := fmt.Sprintf("%s/socket.io/?EIO=%d&transport=%s%s", base, protocol, transport, more)
	if transport == "websocket" {
		u = "ws" + strings.TrimPrefix(u, "http")
	}
	return u
}

var dialer = websocket.Dialer{HandshakeTimeout: patience}

// dial opens a WebSocket session and reads the open packet, no more.
func dial(base string, protocol int, more string) (*client, error) {
	conn, _, err := dialer.Dial(endpoint(base, "websocket", protocol, more), nil)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn}
	open, err := c.next()
	if err != nil {
		return nil, err
	}
	return c, c.opened(open)
}

func (c *client) opened(open string) error {
	var hello struct{ Sid string }
	if open == "" || open[0] != '0' || json.Unmarshal([]byte(open[1:]), &hello) != nil || hello.Sid == "" {
		return fmt.Errorf("not an open packet: %.80q", open)
	}
	c.sid = hello.Sid
	return nil
}

// join opens a WebSocket session in the main namespace.
func join(base string, protocol int, more string) (*client, error) {
	c, err := dial(base, protocol, more)
	if err != nil {
		return nil, err
	}
	if protocol == 4 {
		if err := c.send("40"); err != nil {
			return nil, err
		}
	}
	answer, err := c.next()
	if err != nil || !strings.HasPrefix(answer, "40") {
		return nil, fmt.Errorf("no CONNECT: %.80q %w", answer, err)
	}
	return c, nil
}

func mustJoin(t testing.TB, base string, protocol int, more string) *client {
	t.Helper()
	c, err := join(base, protocol, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func (c *client) send(text string) error {
	return c.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

// next is the next packet; pings are answered and skipped.
func (c *client) next() (string, error) {
	for {
		c.conn.SetReadDeadline(time.Now().Add(patience))
		_, b, err := c.conn.ReadMessage()
		if err != nil || string(b) != "2" {
			return string(b), err
		}
		if err := c.send("3"); err != nil {
			return "", err
		}
	}
}

// ask sends an event with an acknowledgement id and waits for the answer,
// skipping other packets.
func (c *client) ask(id int, event string) (string, error) {
	if err := c.send(fmt.Sprintf("42%d%s", id, event)); err != nil {
		return "", err
	}
	prefix := fmt.Sprintf("43%d", id)
	for {
		p, err := c.next()
		if err != nil {
			return "", err
		}
		if rest, ok := strings.CutPrefix(p, prefix); ok {
			return rest, nil
		}
	}
}

// ticks reads n ticks, which must come in order with nothing between them.
func (c *client) ticks(n int) error {
	for i := range n {
		got, err := c.next()
		if want := fmt.Sprintf(`42["tick",%d]`, i); err != nil || got != want {
			return fmt.Errorf("packet %d of %d: %.80q, %v", i, n, got, err)
		}
	}
	return nil
}

// poller is a raw polling client.
type poller struct {
	base     string
	protocol int
	sid      string
	pending  []string
	jsonp    bool // by script
}

var web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{}).DialContext}, Timeout: patience}

func poll(base string, protocol int, more string) (*poller, error) {
	p := &poller{base: base, protocol: protocol}
	status, body, err := p.request(http.MethodGet, more, nil, "")
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("handshake: %d %q %w", status, body, err)
	}
	packets := p.split(body)
	c := &client{}
	if err := c.opened(packets[0]); err != nil {
		return nil, err
	}
	p.sid, p.pending = c.sid, packets[1:]
	return p, nil
}

func pollJoin(base string, protocol int, more string) (*poller, error) {
	p, err := poll(base, protocol, more)
	if err != nil {
		return nil, err
	}
	if protocol == 4 {
		if _, err := p.post(p.join("40")); err != nil {
			return nil, err
		}
	}
	answer, err := p.next()
	if err != nil || !strings.HasPrefix(answer, "40") {
		return nil, fmt.Errorf("no CONNECT: %.80q %w", answer, err)
	}
	return p, nil
}

func (p *poller) url(more string) string {
	u := endpoint(p.base, "polling", p.protocol, more)
	if p.protocol == 3 {
		u += "&b64=1" // payloads as text
	}
	if p.jsonp {
		u += "&j=0"
	}
	if p.sid != "" {
		u += "&sid=" + url.QueryEscape(p.sid)
	}
	return u
}

func (p *poller) request(method, more string, body io.Reader, contentType string) (int, string, error) {
	r, err := http.NewRequest(method, p.url(more), body)
	if err != nil {
		return 0, "", err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := web.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if script, ok := strings.CutPrefix(string(b), "___eio[0]("); ok && err == nil {
		var text string
		err = json.Unmarshal([]byte(strings.TrimSuffix(script, ");")), &text)
		return response.StatusCode, text, err
	}
	return response.StatusCode, string(b), err
}

// post sends a payload; err is set unless it was answered "ok".
func (p *poller) post(payload string) (int, error) {
	if p.jsonp {
		payload = form(payload)
	}
	status, body, err := p.request(http.MethodPost, "", strings.NewReader(payload), "text/plain;charset=UTF-8")
	if err == nil && body != "ok" {
		err = fmt.Errorf("POST: %d %q", status, body)
	}
	return status, err
}

// join makes a payload.
func (p *poller) join(packets ...string) string {
	if p.protocol == 4 {
		return strings.Join(packets, "\x1e")
	}
	var b strings.Builder
	for _, packet := range packets {
		fmt.Fprintf(&b, "%d:%s", len([]rune(packet)), packet) // no surrogates in tests
	}
	return b.String()
}

func (p *poller) split(payload string) []string {
	if p.protocol == 4 {
		return strings.Split(payload, "\x1e")
	}
	var list []string
	for payload != "" {
		length, rest, _ := strings.Cut(payload, ":")
		n, err := strconv.Atoi(length)
		if err != nil || n > len(rest) {
			return append(list, payload)
		}
		list, payload = append(list, rest[:n]), rest[n:]
	}
	return list
}

// next is the next packet; noops and pings are skipped.
func (p *poller) next() (string, error) {
	for {
		if len(p.pending) == 0 {
			status, body, err := p.request(http.MethodGet, "", nil, "")
			if err != nil || status != http.StatusOK {
				return "", fmt.Errorf("poll: %d %q %w", status, body, err)
			}
			p.pending = p.split(body)
		}
		packet := p.pending[0]
		p.pending = p.pending[1:]
		switch packet {
		case "6":
		case "2":
			if _, err := p.post(p.join("3")); err != nil {
				return "", err
			}
		default:
			return packet, nil
		}
	}
}

// alive tells whether the session still exists.
func (p *poller) alive() bool {
	packet := "2" // a ping, or in protocol 4 the answer to one
	if p.protocol == 4 {
		packet = "3"
	}
	_, err := p.post(p.join(packet))
	return err == nil
}

func (p *poller) ask(id int, event string) (string, error) {
	if _, err := p.post(p.join(fmt.Sprintf("42%d%s", id, event))); err != nil {
		return "", err
	}
	prefix := fmt.Sprintf("43%d", id)
	for {
		got, err := p.next()
		if err != nil {
			return "", err
		}
		if rest, ok := strings.CutPrefix(got, prefix); ok {
			return rest, nil
		}
	}
}
