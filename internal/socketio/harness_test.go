package socketio

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	testclient "rollcall/e2e/client"
	"rollcall/e2e/program"
	"rollcall/internal/stall"
	"rollcall/rooms"
)

const patience = testclient.Patience

type poller = testclient.Poller

var (
	dial, join, mustJoin = testclient.Dial, testclient.Join, testclient.MustJoin
	pollJoin, mustPoll   = testclient.PollJoin, testclient.MustPoll
	ask, mustAsk         = testclient.Ask, testclient.MustAsk
	expect, ticks        = testclient.Expect, testclient.Ticks
	endpoint, web        = testclient.Endpoint, testclient.Web
)

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	program.Eventually(t, patience, what, ok)
}

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
	decide   chan struct{} // Connect waits for it if the client asks for that

	mu      sync.Mutex // guards all below
	present map[string]rooms.Conn
	marks   map[string][]json.RawMessage
	reasons []rooms.Reason
}

func (d *domain) Connect(c rooms.Conn, h rooms.Handshake) (rooms.Session, error) {
	if h.Query.Get("refuse") != "" || h.Auth["refuse"] == "yes" {
		return nil, &rooms.Refusal{Code: "refused", Message: "as asked"}
	}
	if h.Query.Get("wait") != "" {
		<-d.decide
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
			c.Send(d.srv.Encode(tick(i)))
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
		events = append(events, tick(i))
	}
	return d.srv.Encode(events...)
}

func tick(i int) rooms.Event {
	return rooms.Event{Name: "tick", Args: []json.RawMessage{[]byte(strconv.Itoa(i))}}
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

// comeBack leaves the namespace and enters it again.
func comeBack(t testing.TB, c *testclient.Conn) {
	t.Helper()
	c.Send("41")
	c.Send("40")
	expect(t, c, "40…")
}

// expectClose reads the rest, which must end with an orderly close.
func expectClose(t testing.TB, c *testclient.Conn) {
	t.Helper()
	var err error
	for err == nil {
		_, err = c.Next()
	}
	if !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error(err)
	}
}

// knock opens a WebSocket and asks to come in.
func knock(t testing.TB, base string, protocol int, more string) *testclient.Conn {
	t.Helper()
	c, err := dial(base, protocol, more, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Conn.Close() })
	if protocol == 4 {
		c.Send("40")
	}
	return c
}

// start serves the test domain.
func start(t testing.TB, opts Options) (*domain, string) {
	t.Helper()
	if opts.Log == nil {
		opts.Log = testclient.PanicLog(t)
	}
	opts.CloseTimeout = cmp.Or(opts.CloseTimeout, 2*time.Second) // a busy machine writes late
	s := New(opts)
	d := &domain{srv: s, gate: make(chan struct{}), present: map[string]rooms.Conn{}, marks: map[string][]json.RawMessage{}}
	s.Serve(d)
	return d, serve(t, s)
}

// serve serves until the end of the test, and returns where.
func serve(t testing.TB, s *Server) (base string) {
	t.Helper()
	server := httptest.NewUnstartedServer(headerTwice(s))
	server.Listener = stall.Listen(server.Listener, patience)
	server.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond) // nobody is there any more
		defer cancel()
		s.Stop(ctx, 0)
		server.Close()
	})
	return server.URL
}
