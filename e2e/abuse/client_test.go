package abuse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A client is one Socket.IO connection over WebSocket that answers pings.
type client struct {
	conn *websocket.Conn
	gone chan struct{} // closed when the connection has ended
	end  error         // why; set before gone is closed

	mu     sync.Mutex // guards what follows, and writing
	acks   map[int]chan reply
	last   int            // acknowledgement id
	events map[string]int // how often each came
}

// A reply is what an event was acknowledged with.
type reply struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

var errGone = errors.New("the connection has ended")

func (s *server) wsURL(query string) string {
	return "ws://" + s.address() + "/socket.io/?EIO=4&transport=websocket&" + query
}

var dialer = websocket.Dialer{HandshakeTimeout: 10 * time.Second}

// open makes a WebSocket that has taken the open packet, no more.
func (s *server) open(query string, header http.Header) (*websocket.Conn, error) {
	conn, response, err := dialer.Dial(s.wsURL(query), header)
	if err != nil {
		if response != nil {
			return nil, fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, err
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, b, err := conn.ReadMessage(); err != nil || !bytes.HasPrefix(b, []byte("0{")) {
		conn.Close()
		return nil, fmt.Errorf("want an open packet, got %.100q: %v", b, err)
	}
	return conn, nil
}

// enter is open and CONNECT, with a payload or "". What refuses it is the error.
func (s *server) enter(query, auth string, header http.Header) (*websocket.Conn, error) {
	conn, err := s.open(query, header)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40"+auth)); err != nil {
		conn.Close()
		return nil, err
	}
	if _, b, err := conn.ReadMessage(); err != nil || !bytes.HasPrefix(b, []byte("40{")) {
		conn.Close()
		return nil, fmt.Errorf("not connected: %.200q: %v", b, err)
	}
	return conn, nil
}

// connect is a client that is in.
func (s *server) connect(t testing.TB, query string) *client {
	t.Helper()
	c, err := s.join(query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.conn.Close()
		<-c.gone
	})
	return c
}

// join is connect for who ends the client alone.
func (s *server) join(query string) (*client, error) {
	conn, err := s.enter(query, "", nil)
	if err != nil {
		return nil, err
	}
	conn.SetReadDeadline(time.Time{})
	c := &client{conn: conn, gone: make(chan struct{}), acks: make(map[int]chan reply), events: make(map[string]int)}
	go c.read()
	return c, nil
}

func (c *client) read() {
	defer close(c.gone)
	for {
		_, b, err := c.conn.ReadMessage()
		switch {
		case err != nil:
			c.end = err
			return
		case string(b) == "2":
			c.send("3")
		case bytes.HasPrefix(b, []byte("43")):
			c.acknowledge(b[2:])
		case bytes.HasPrefix(b, []byte("42[")):
			c.note(b[2:])
		}
	}
}

func (c *client) acknowledge(b []byte) {
	at := bytes.IndexByte(b, '[')
	if at < 0 {
		return
	}
	id, err := strconv.Atoi(string(b[:at]))
	var replies []reply
	if err != nil || json.Unmarshal(b[at:], &replies) != nil || len(replies) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ack := c.acks[id]; ack != nil {
		delete(c.acks, id)
		ack <- replies[0]
	}
}

// note counts an event without looking at its arguments: clients must not be
// what is slow when there are many.
func (c *client) note(b []byte) {
	name, _, _ := bytes.Cut(bytes.TrimPrefix(b, []byte(`["`)), []byte(`"`))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events[string(name)]++
}

// heard is how often an event came.
func (c *client) heard(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events[name]
}

func (c *client) send(packet string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(patience))
	return c.conn.WriteMessage(websocket.TextMessage, []byte(packet))
}

// ask sends an event, with an argument or without, and waits for the answer.
func (c *client) ask(event, arg string) (reply, error) {
	ack := make(chan reply, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.acks[id] = ack
	c.mu.Unlock()
	if arg != "" {
		arg = "," + arg
	}
	if err := c.send(fmt.Sprintf(`42%d[%q%s]`, id, event, arg)); err != nil {
		return reply{}, err
	}
	select {
	case r := <-ack:
		return r, nil
	case <-c.gone:
		return reply{}, errGone
	case <-time.After(patience):
		return reply{}, fmt.Errorf("%s: no acknowledgement within %s", event, patience)
	}
}

// gets asks, and demands an answer: a refusal's code, or "" for ok.
func (c *client) gets(t testing.TB, code, event, arg string) {
	t.Helper()
	r, err := c.ask(event, arg)
	if err != nil || r.Error != code || r.OK != (code == "") {
		t.Errorf("%s %.80s: %+v, %v; want %q", event, arg, r, err, code)
	}
}

// isGone waits until the connection has ended, and returns why.
func (c *client) isGone(t testing.TB) error {
	t.Helper()
	select {
	case <-c.gone:
		return c.end
	case <-time.After(patience):
		t.Fatal("the connection goes on")
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
