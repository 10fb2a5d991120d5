package engineio

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	testclient "rollcall/e2e/client"
	"rollcall/e2e/program"
	"rollcall/internal/stall"
)

const patience = testclient.Patience

type (
	client = testclient.Conn
	poller = testclient.Poller
)

var (
	dial, join, mustJoin     = testclient.Dial, testclient.Join, testclient.MustJoin
	poll, pollJoin, mustPoll = testclient.Poll, testclient.PollJoin, testclient.MustPoll
	mustCandidate, ask       = testclient.MustCandidate, testclient.Ask
	mustAsk, expect, ticks   = testclient.MustAsk, testclient.Expect, testclient.Ticks
	endpoint, web            = testclient.Endpoint, testclient.Web
)

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	program.Eventually(t, patience, what, ok)
}

// fixture is a server whose sessions speak as much of Socket.IO as their
// clients: they answer CONNECT and handle some events. `burst` n sends n `tick`s,
// `big` n sends one event of n bytes, `mark` x is recorded, `marks` is answered with
// what was recorded, `gate` waits until the test opens the gate.
type fixture struct {
	srv      *Server
	connects atomic.Int64
	gate     chan struct{}
	stuck    bool                 // Closed waits for the gate
	accepted sync.Map             // the server's connections, by the address of the client
	late     atomic.Pointer[Conn] // what all requests are taken for a poll of; nil: their own

	mu      sync.Mutex // guards all below
	present map[string]*guest
	marks   map[string][]json.RawMessage
	reasons []Reason
}

// guest is the session of one client.
type guest struct {
	*fixture
	conn *Conn
}

func (f *fixture) accept(conn *Conn) Session {
	g := &guest{f, conn}
	if conn.Protocol() == 3 {
		g.connect()
	}
	return g
}

func (g *guest) connect() {
	g.connects.Add(1)
	g.mu.Lock()
	g.present[g.ID()] = g
	g.mu.Unlock()
	g.Send(AppendText(nil, []byte("40")))
}

func (g *guest) ID() string           { return g.conn.ID() }
func (g *guest) Send(frames []byte)   { g.conn.Send(frames) }
func (g *guest) Upgraded()            {}
func (g *guest) LogValue() slog.Value { return slog.StringValue("guest") }

// Close ends the connection; without again the client is told so first.
func (g *guest) Close(again bool) {
	if !again {
		g.Send(AppendText(nil, []byte("41")))
	}
	g.conn.Mute()
	go g.conn.Close()
}

func (g *guest) Closed(reason Reason) {
	if g.stuck {
		<-g.gate
	}
	if reason.Message != "" {
		g.Send(AppendText(nil, fmt.Appendf(nil, `42["rollcall_error",{"error":%q}]`, reason.Code)))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.present, g.ID())
	g.reasons = append(g.reasons, reason)
}

func (g *guest) Binary([]byte) {}

func (g *guest) Text(data []byte) {
	switch {
	case string(data) == "0":
		g.connect()
	case len(data) > 0 && data[0] == '2':
		g.event(data[1:])
	default:
		g.conn.Count(len(data))
		g.conn.Violation()
	}
}

func (g *guest) event(data []byte) {
	array := bytes.IndexByte(data, '[')
	var args []json.RawMessage
	if array < 0 || json.Unmarshal(data[array:], &args) != nil {
		g.conn.Violation()
		return
	}
	reply, n := `{"ok":true}`, 0
	if len(args) > 1 {
		json.Unmarshal(args[1], &n)
	}
	switch string(args[0]) {
	case `"burst"`:
		for i := range n {
			g.Send(tick(i))
		}
	case `"big"`:
		g.Send(AppendText(nil, []byte(`42["big","`), bytes.Repeat([]byte{'x'}, n), []byte(`"]`)))
	case `"mark"`:
		g.mu.Lock()
		g.marks[g.ID()] = append(g.marks[g.ID()], bytes.Clone(args[1]))
		g.mu.Unlock()
	case `"marks"`:
		g.mu.Lock()
		marks, _ := json.Marshal(g.marks[g.ID()])
		g.mu.Unlock()
		reply = fmt.Sprintf(`{"marks":%s,"ok":true}`, marks)
	case `"gate"`:
		<-g.gate
	case `"close"`, `"dismiss"`:
		g.Close(string(args[0]) == `"close"`)
	}
	if id := data[:array]; len(id) > 0 {
		g.conn.Write(NewRun(AppendText(nil, []byte("43"), id, []byte("["), []byte(reply), []byte("]"))), nil)
	}
}

func frameOf(text string) []byte { return AppendText(nil, []byte(text)) }

func tick(n int) []byte { return AppendText(nil, fmt.Appendf(nil, `42["tick",%d]`, n)) }

// ticks is n ticks in one run of frames.
func (f *fixture) ticks(n int) (frames []byte) {
	for i := range n {
		frames = append(frames, tick(i)...)
	}
	return frames
}

// fanout writes the same frames to all.
func (f *fixture) fanout(frames []byte, to []*guest) {
	flush, run := NewFlush(), Shared(frames)
	for _, g := range to {
		g.conn.Write(run, flush)
	}
	flush.Wait(time.Millisecond)
}

// conns are the sessions that are in.
func (f *fixture) conns() (list []*guest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.present {
		list = append(list, g)
	}
	return list
}

// marked is what a session's client marked, in the order in which it was handled.
func (f *fixture) marked(id string) (marks []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.marks[id] {
		marks = append(marks, string(m))
	}
	return marks
}

// await waits for a condition under a connection's lock.
func await(t testing.TB, what string, c *Conn, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return ok()
	})
}

// rawConn opens a TCP connection to a server.
func rawConn(t *testing.T, base string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// counts is how many connections take a place, how many are pending, and how many are
// without a transport.
func (f *fixture) counts() (places, pending, detached int) {
	f.srv.mu.Lock()
	defer f.srv.mu.Unlock()
	return f.srv.places, f.srv.pending.Len(), f.srv.detachedAt.Len()
}

// connOf finds a connection by its id.
func (f *fixture) connOf(id string) *Conn {
	f.srv.mu.Lock()
	defer f.srv.mu.Unlock()
	return f.srv.conns[id]
}

func newFixture(opts Options) *fixture {
	f := &fixture{gate: make(chan struct{}), present: map[string]*guest{}, marks: map[string][]json.RawMessage{}}
	f.srv = New(opts, f.accept)
	return f
}

// start serves a fixture.
func start(t testing.TB, opts Options) (*fixture, string) {
	t.Helper()
	if opts.Log == nil {
		opts.Log = testclient.PanicLog(t)
	}
	opts.CloseTimeout = cmp.Or(opts.CloseTimeout, 2*time.Second) // a busy machine writes late
	f := newFixture(opts)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := f.late.Load(); c != nil {
			exchange{c, w, r}.servePoll()
		} else {
			f.srv.ServeHTTP(w, r)
		}
	}))
	server.Listener = stall.Listen(server.Listener, f.srv.opts.WriteTimeout)
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			f.accepted.Store(c.RemoteAddr().String(), c)
		}
	}
	server.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond) // nobody is there any more
		defer cancel()
		f.srv.Stop(ctx, 0, nil)
		server.Close()
	})
	return f, server.URL
}
