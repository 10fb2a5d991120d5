// Package enginetest is raw clients for tests: they know Engine.IO packets, CONNECT
// and acknowledgements, no more.
package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Patience bounds every wait in the tests; a passing test never needs it.
const Patience = 30 * time.Second

// Eventually waits for a condition.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// PanicLog is a log that fails the test when the server logs a panic that it survived.
func PanicLog(t testing.TB) *slog.Logger { return slog.New(panicLog{slog.DiscardHandler, t}) }

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

// Client is a client over WebSocket.
type Client struct {
	Conn *websocket.Conn
	SID  string
}

// Endpoint is the address of an endpoint, with more in its query.
func Endpoint(base, transport string, protocol int, more string) string {
	u := fmt.Sprintf("%s/socket.io/?EIO=%d&transport=%s%s", base, protocol, transport, more)
	if transport == "websocket" {
		u = "ws" + strings.TrimPrefix(u, "http")
	}
	return u
}

// Dialer opens WebSockets.
var Dialer = websocket.Dialer{HandshakeTimeout: Patience}

// Dial opens a WebSocket session and reads the open packet, no more.
func Dial(base string, protocol int, more string) (*Client, error) {
	conn, _, err := Dialer.Dial(Endpoint(base, "websocket", protocol, more), nil)
	if err != nil {
		return nil, err
	}
	c := &Client{Conn: conn}
	open, err := c.Next()
	if err != nil {
		return nil, err
	}
	return c, c.Opened(open)
}

// Opened takes the open packet.
func (c *Client) Opened(open string) error {
	var hello struct{ Sid string }
	if open == "" || open[0] != '0' || json.Unmarshal([]byte(open[1:]), &hello) != nil || hello.Sid == "" {
		return fmt.Errorf("not an open packet: %.80q", open)
	}
	c.SID = hello.Sid
	return nil
}

// Join opens a WebSocket session in the main namespace.
func Join(base string, protocol int, more string) (*Client, error) {
	c, err := Dial(base, protocol, more)
	if err != nil {
		return nil, err
	}
	if protocol == 4 {
		if err := c.Send("40"); err != nil {
			return nil, err
		}
	}
	return c, connected(c)
}

// connected reads the answer to CONNECT.
func connected(c Packets) error {
	got, err := c.Next()
	if err != nil || !strings.HasPrefix(got, "40") {
		return fmt.Errorf("no CONNECT: %.80q %w", got, err)
	}
	return nil
}

// MustJoin is Join, or the end of the test.
func MustJoin(t testing.TB, base string, protocol int, more string) *Client {
	t.Helper()
	c, err := Join(base, protocol, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Conn.Close() })
	return c
}

// Send sends a packet of text.
func (c *Client) Send(text string) error {
	return c.Conn.WriteMessage(websocket.TextMessage, []byte(text))
}

// SendBinary sends a binary packet.
func (c *Client) SendBinary(data string) error {
	return c.Conn.WriteMessage(websocket.BinaryMessage, []byte(data))
}

// Next is the next packet; pings are answered and skipped.
func (c *Client) Next() (string, error) {
	for {
		c.Conn.SetReadDeadline(time.Now().Add(Patience))
		_, b, err := c.Conn.ReadMessage()
		if err != nil || string(b) != "2" {
			return string(b), err
		}
		if err := c.Send("3"); err != nil {
			return "", err
		}
	}
}

// Ask sends an event with an acknowledgement id and waits for the answer,
// skipping other packets.
func (c *Client) Ask(id int, event string) (string, error) {
	return answer(c, id, c.Send(fmt.Sprintf("42%d%s", id, event)))
}

// Packets is a client over either transport.
type Packets interface{ Next() (string, error) }

// MustAsk is Ask, or the end of the test.
func MustAsk(t testing.TB, c interface {
	Ask(int, string) (string, error)
}, event string) string {
	t.Helper()
	got, err := c.Ask(1, event)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// answer waits for the answer to an event, if err is nil.
func answer(c Packets, id int, err error) (string, error) {
	for err == nil {
		var got string
		if got, err = c.Next(); err == nil {
			if rest, ok := strings.CutPrefix(got, fmt.Sprintf("43%d", id)); ok {
				return rest, nil
			}
		}
	}
	return "", err
}

// Expect reads packets, which must be these; of one that ends in … only the beginning
// counts.
func Expect(t testing.TB, c Packets, want ...string) {
	t.Helper()
	for i, w := range want {
		got, err := c.Next()
		begin, more := strings.CutSuffix(w, "…")
		if err != nil || !strings.HasPrefix(got, begin) || !more && got != w {
			t.Fatalf("packet %d of %d: %.200q, %v; want %.200q", i, len(want), got, err, w)
		}
	}
}

// Ticks reads n ticks, which must come in order with nothing between them.
func Ticks(t testing.TB, c Packets, n int) {
	t.Helper()
	for i := range n {
		Expect(t, c, fmt.Sprintf(`42["tick",%d]`, i))
	}
}

// Poller is a client over polling.
type Poller struct {
	Base     string
	Protocol int
	SID      string
	Pending  []string // packets that were fetched and are not yet read
	JSONP    bool     // by script
}

// Web is the HTTP client of all pollers.
var Web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{}).DialContext}, Timeout: Patience}

// Poll opens a session over polling, or by script if more begins with &j=.
func Poll(base string, protocol int, more string) (*Poller, error) {
	p := &Poller{Base: base, Protocol: protocol, JSONP: strings.HasPrefix(more, "&j=")}
	status, body, err := p.Request(http.MethodGet, more, nil, "")
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("handshake: %d %q %w", status, body, err)
	}
	packets := p.Split(body)
	c := &Client{}
	if err := c.Opened(packets[0]); err != nil {
		return nil, err
	}
	p.SID, p.Pending = c.SID, packets[1:]
	return p, nil
}

// PollJoin opens a session over polling in the main namespace.
func PollJoin(base string, protocol int, more string) (*Poller, error) {
	p, err := Poll(base, protocol, more)
	if err != nil {
		return nil, err
	}
	if protocol == 4 {
		if _, err := p.Post("40"); err != nil {
			return nil, err
		}
	}
	return p, connected(p)
}

// MustPoll is PollJoin, or the end of the test.
func MustPoll(t testing.TB, base string, protocol int, more string) *Poller {
	t.Helper()
	p, err := PollJoin(base, protocol, more)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Candidate opens a WebSocket for the session, beside polling, and sends packets.
func (p *Poller) Candidate(packets ...string) (*Client, error) {
	conn, _, err := Dialer.Dial(Endpoint(p.Base, "websocket", p.Protocol, "&sid="+p.SID), nil)
	c := &Client{Conn: conn, SID: p.SID}
	for _, packet := range packets {
		if err == nil {
			err = c.Send(packet)
		}
	}
	return c, err
}

// MustCandidate is Candidate, or the end of the test.
func MustCandidate(t testing.TB, p *Poller, packets ...string) *Client {
	t.Helper()
	c, err := p.Candidate(packets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Conn.Close() })
	return c
}

// URL is that of the session's requests.
func (p *Poller) URL(more string) string {
	u := Endpoint(p.Base, "polling", p.Protocol, more)
	if p.Protocol == 3 {
		u += "&b64=1" // payloads as text
	}
	if p.JSONP {
		u += "&j=0"
	}
	if p.SID != "" {
		u += "&sid=" + url.QueryEscape(p.SID)
	}
	return u
}

// Request makes a request of the session, and returns its status and body.
func (p *Poller) Request(method, more string, body io.Reader, contentType string) (int, string, error) {
	r, err := http.NewRequest(method, p.URL(more), body)
	if err != nil {
		return 0, "", err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := Web.Do(r)
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

// Post sends a payload; err is set unless it was answered "ok".
func (p *Poller) Post(payload string) (int, error) {
	if p.JSONP {
		payload = Form(payload)
	}
	status, body, err := p.Request(http.MethodPost, "", strings.NewReader(payload), "text/plain;charset=UTF-8")
	if err == nil && body != "ok" {
		err = fmt.Errorf("POST: %d %q", status, body)
	}
	return status, err
}

// Join makes a payload.
func (p *Poller) Join(packets ...string) string {
	if p.Protocol == 4 {
		return strings.Join(packets, "\x1e")
	}
	var b strings.Builder
	for _, packet := range packets {
		fmt.Fprintf(&b, "%d:%s", len([]rune(packet)), packet) // no surrogates in tests
	}
	return b.String()
}

// Split takes a payload apart.
func (p *Poller) Split(payload string) []string {
	if p.Protocol == 4 {
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

// Next is the next packet; noops and pings are skipped.
func (p *Poller) Next() (string, error) {
	for {
		if len(p.Pending) == 0 {
			status, body, err := p.Request(http.MethodGet, "", nil, "")
			if err != nil || status != http.StatusOK {
				return "", fmt.Errorf("poll: %d %q %w", status, body, err)
			}
			p.Pending = p.Split(body)
		}
		packet := p.Pending[0]
		p.Pending = p.Pending[1:]
		switch packet {
		case "6":
		case "2":
			if _, err := p.Post(p.Join("3")); err != nil {
				return "", err
			}
		default:
			return packet, nil
		}
	}
}

// Alive reports whether the session still exists.
func (p *Poller) Alive() bool {
	packet := "2" // a ping, or in protocol 4 the answer to one
	if p.Protocol == 4 {
		packet = "3"
	}
	_, err := p.Post(p.Join(packet))
	return err == nil
}

// Ask sends an event with an acknowledgement id and waits for the answer.
func (p *Poller) Ask(id int, event string) (string, error) {
	_, err := p.Post(p.Join(fmt.Sprintf("42%d%s", id, event)))
	return answer(p, id, err)
}

// Form is what a script posts.
func Form(payload string) string {
	return url.Values{"d": {strings.ReplaceAll(payload, "\n", `\n`)}}.Encode()
}
