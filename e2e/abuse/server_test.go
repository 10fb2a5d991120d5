// Package abuse tests what hostile clients can do to a server: flood it, send a
// byte at a time, lie, and never let go, against the real binary with its
// defaults. A test of an attack checks three things: what its client gets, the
// metric that counts it, and what well-behaved clients on the same server notice
// meanwhile (observer_test.go), whose response times are printed with the
// server's memory. With -short attacks are brief: the same has to hold, but the
// printed numbers say little.
//
// The program under test is ROLLCALL_BIN, or it is built from this module,
// never with the race detector: memory and time are measured here. What lives
// here: tests and their tools. What may not: any package of the module; an
// attacker does not know the implementation.
package abuse

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	socketio "rollcall/e2e/client"
	"rollcall/e2e/program"
)

const (
	patience = program.Patience
	mib      = 1 << 20

	resident = "process_resident_memory_bytes"

	pollingPath = "/socket.io/?EIO=4&transport=polling"

	authSecret    = "auth-secret-which-nobody-may-see"
	apiKey        = "api-key-which-nobody-may-see"
	withKey       = "Authorization: Bearer " + apiKey
	redisPassword = "redis+password/which%nobody-may-see"
)

func TestMain(m *testing.M) {
	if base := os.Getenv(observedServer); base != "" {
		os.Exit(observe(base))
	}
	program.Main(m, false)
}

// A server is the program under test.
type server struct{ *program.Server }

// newLog keeps all that a server logs in a test.
func newLog() *program.Log { return &program.Log{Max: 64 * mib} }

// serve starts the program with its defaults, but for vars and without GRACE.
func serve(t testing.TB, vars ...string) *server {
	t.Helper()
	s := &server{program.NewServer(t, vars...)}
	s.Output, s.Command = newLog(), priority
	s.Start()
	return s
}

// startRedis starts a redis-server with a password, and returns the setting that
// leads there.
func startRedis(t *testing.T) (setting string, p *program.Process) {
	t.Helper()
	port := program.FreePort(t)
	p = program.StartRedis(t, newLog(), port, nil, "--dir", t.TempDir(), "--requirepass", redisPassword)
	return "REDIS_URL=redis://:" + url.QueryEscape(redisPassword) + "@127.0.0.1:" + port, p
}

// dialTCP is a connection that no client library guards.
func (s *server) dialTCP() net.Conn {
	s.T.Helper()
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+s.Port, 10*time.Second)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { conn.Close() })
	return conn
}

// metric is one series of /metrics, 0 if it is not there yet.
func (s *server) metric(series string) float64 {
	s.T.Helper()
	return valueOf(s.Get("/metrics").Body, series)
}

func valueOf(metrics, series string) float64 {
	_, rest, _ := strings.Cut("\n"+metrics, "\n"+series+" ")
	text, _, _ := strings.Cut(rest, "\n")
	value, _ := strconv.ParseFloat(text, 64)
	return value
}

// counts waits until a series has reached a value: some are counted after the
// client has its answer.
func (s *server) counts(series string, least float64) {
	s.T.Helper()
	program.Eventually(s.T, patience, fmt.Sprintf("%s is at least %v", series, least), func() bool { return s.metric(series) >= least })
}

// countsRefusal is counts for the refusals of a reason.
func (s *server) countsRefusal(reason string, least float64) {
	s.T.Helper()
	s.counts(fmt.Sprintf("rollcall_refusals_total{reason=%q}", reason), least)
}

// online is the list of the API.
func (s *server) online() string {
	s.T.Helper()
	return strings.TrimSpace(s.Get("/api/online_users").Body)
}

// emit sends an event by the API.
func (s *server) emit(body string) {
	s.T.Helper()
	if got := s.Ask("POST", "/api/emit", body, withKey); got.Status != http.StatusOK {
		s.T.Fatalf("POST /api/emit: %d %s", got.Status, got.Body)
	}
}

// open is a WebSocket that has the open packet, no more.
func (s *server) open(query string, headers http.Header) (*websocket.Conn, error) {
	c, err := socketio.Dial(s.URL(""), 4, query, headers)
	if err != nil {
		return nil, err
	}
	return c.Conn, nil
}

// opens reports whether a WebSocket can be opened.
func (s *server) opens() bool {
	conn, err := s.open("", nil)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// connect is a WebSocket in the namespace /, with a CONNECT payload or "".
func (s *server) connect(query, payload string) (*websocket.Conn, error) {
	c, err := socketio.Dial(s.URL(""), 4, query, nil)
	if err != nil {
		return nil, err
	}
	if err := socketio.Connect(c, "40"+payload); err != nil {
		c.Close()
		return nil, err
	}
	c.SetWriteDeadline(time.Time{})
	return c.Conn, c.SetReadDeadline(time.Time{})
}

// connectMany is connect n times; the connections end with the test.
func (s *server) connectMany(t testing.TB, n int) (conns []*websocket.Conn) {
	t.Helper()
	for range n {
		conn, err := s.connect("presence=none", "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns = append(conns, conn)
	}
	return conns
}

// connectUnread is connect for a client that reads nothing of what follows.
func (s *server) connectUnread(t testing.TB) *websocket.Conn {
	t.Helper()
	conn := s.connectMany(t, 1)[0]
	conn.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	return conn
}

// A client is a well-behaved connection that counts the events it gets.
type client struct {
	*socketio.Client

	mu     sync.Mutex // guards events
	events map[string]int
}

// client connects a client, which ends with the test.
func (s *server) client(t testing.TB, query string) *client {
	t.Helper()
	c, err := join(s.URL(""), query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// join connects a client that the caller ends.
func join(base, query string) (c *client, err error) {
	c = &client{events: make(map[string]int)}
	c.Client, err = socketio.New(base, query, socketio.Handlers{Event: c.count})
	return c, err
}

func (c *client) count(_ time.Time, name string, _ []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events[name]++
}

// received is how often these events came.
func (c *client) received(names ...string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		n += c.events[name]
	}
	return n
}

// expect sends an event, which has to be acknowledged with a refusal's code, or
// with ok for "".
func (c *client) expect(t testing.TB, code, event, arg string) {
	t.Helper()
	r, err := c.Ask(event, arg)
	if err != nil || r.Error != code || r.OK != (code == "") {
		t.Errorf("%s %.80s: %+v, %v; want %q", event, arg, r, err, code)
	}
}

// waitEnd waits until the connection has ended, and returns why.
func (c *client) waitEnd(t testing.TB) error {
	t.Helper()
	select {
	case <-c.Gone:
		return c.Err
	case <-time.After(patience):
		t.Fatal("the connection is still open")
		return nil
	}
}

// A poll is a session over polling, whose requests go to path.
type poll struct {
	s         *server
	sid, path string
}

// openPoll makes a session over polling that is not connected to a namespace; its
// path is "" if the server refuses it.
func (s *server) openPoll(protocol int, query string) *poll {
	p, err := socketio.Poll(s.URL(""), protocol, query)
	if err != nil {
		return &poll{s: s}
	}
	return &poll{s, p.SID, strings.TrimPrefix(p.URL(""), s.URL(""))}
}

// poll makes a session over polling that is connected.
func (s *server) poll(query string) *poll {
	s.T.Helper()
	p := s.openPoll(4, query)
	p.post("40")
	if got := p.get(); !strings.HasPrefix(got.Body, "40{") {
		s.T.Fatalf("polling: CONNECT is answered %d %.200s", got.Status, got.Body)
	}
	return p
}

func (p *poll) post(body string) program.Answer {
	p.s.T.Helper()
	return p.s.Ask("POST", p.path, body, "Content-Type: text/plain")
}

// try is post for requests that may remain without an answer.
func (p *poll) try(body string) (program.Answer, error) {
	return p.s.Try("POST", p.path, body, "Content-Type: text/plain")
}

func (p *poll) get() program.Answer {
	p.s.T.Helper()
	return p.s.Get(p.path)
}

// frames is the same text message, of less than 64 KiB, n times, as a client's WebSocket
// sends it: its mask is 0, so that making them costs the attacker nothing.
func frames(text string, n int) []byte {
	one := []byte{0x81}
	if size := len(text); size < 126 {
		one = append(one, 0x80|byte(size))
	} else {
		one = append(one, 0x80|126, byte(size>>8), byte(size))
	}
	one = append(append(one, 0, 0, 0, 0), text...)
	return bytes.Repeat(one, n)
}
