package abuse

import (
	"bytes"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	socketio "rollcall/e2e/client"
)

// A client is a well-behaved connection that counts the events it gets.
type client struct {
	*socketio.Client

	mu     sync.Mutex // guards events
	events map[string]int
}

// open is a WebSocket that has the open packet, no more.
func (s *server) open(query string, header http.Header) (*websocket.Conn, error) {
	return socketio.Open(s.port, query, header)
}

// connect is a WebSocket in the namespace /, with a CONNECT payload or "".
func (s *server) connect(query, payload string, header http.Header) (*websocket.Conn, error) {
	return socketio.Connect(s.port, query, payload, header)
}

// connectMany is connect n times; the connections end with the test.
func (s *server) connectMany(t testing.TB, n int) (conns []*websocket.Conn) {
	t.Helper()
	for range n {
		conn, err := s.connect("presence=none", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns = append(conns, conn)
	}
	return conns
}

// client connects a client, which ends with the test.
func (s *server) client(t testing.TB, query string) *client {
	t.Helper()
	c, err := s.join(query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// join connects a client that the caller ends.
func (s *server) join(query string) (c *client, err error) {
	c = &client{events: make(map[string]int)}
	c.Client, err = socketio.Dial(s.port, query, socketio.Handlers{Raw: c.count})
	return c, err
}

// count counts an event without decoding its arguments: clients must not be
// what is slow when there are many.
func (c *client) count(_ time.Time, event []byte) {
	name, _, _ := bytes.Cut(bytes.TrimPrefix(event, []byte(`["`)), []byte(`"`))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events[string(name)]++
}

// received is how often an event came.
func (c *client) received(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events[name]
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

// frames is the same text message n times, as a client's WebSocket sends it: its
// mask is 0, so that making them costs the attacker nothing.
func frames(text string, n int) []byte {
	one := []byte{0x81}
	switch size := len(text); {
	case size < 126:
		one = append(one, 0x80|byte(size))
	case size < 1<<16:
		one = append(one, 0x80|126, byte(size>>8), byte(size))
	default:
		one = append(one, 0x80|127, 0, 0, 0, 0, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	}
	one = append(append(one, 0, 0, 0, 0), text...)
	return bytes.Repeat(one, n)
}
