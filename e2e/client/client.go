// Package client is the Socket.IO clients of the tests in Go. A Client is well-behaved: it
// answers pings, matches acknowledgements and hands over events. A Conn, over WebSocket, and
// a Poller speak protocol 3 and 4; they send what they are given, valid or not, and hand over
// packets. What lives here: the protocol, as a client sees it, and what the tests of a server
// share (suite.go). What may not: any package of the module.
package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// closeTimeout is how long a server that said goodbye has to close the connection.
const closeTimeout = 2 * time.Second

// ErrEnded is the error of whatever waits on a connection that has ended.
var ErrEnded = errors.New("the connection has ended")

// Handlers are called by a client's reading goroutine, one at a time. Each may be nil.
type Handlers struct {
	// Event gets each event's name and JSON array, which is not decoded: there are clients
	// that must not spend time on that.
	Event func(at time.Time, name string, event []byte)
	// Ended is called once, after the last event and before Gone is closed.
	Ended func(*Client)
}

// A Client is one connection that is in the namespace /, over WebSocket and protocol 4. It
// reads by itself. It is safe for concurrent use.
type Client struct {
	*Conn
	Gone chan struct{} // closed when the connection has ended
	Err  error         // why it ended; set before Gone is closed

	handlers Handlers
	acks     sync.Map // by their id: chan Reply
	lastID   atomic.Int64
	ended    atomic.Bool
}

// A Reply is what an event was acknowledged with.
type Reply struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

// New connects a client.
func New(base, query string, handlers Handlers) (*Client, error) {
	conn, err := Join(base, 4, query)
	if err != nil {
		return nil, err
	}
	conn.SetReadDeadline(time.Time{})
	c := &Client{Conn: conn, Gone: make(chan struct{}), handlers: handlers}
	go c.run()
	return c, nil
}

func (c *Client) run() {
	defer close(c.Gone)
	c.Err = c.read()
	c.Conn.Close()
	c.ended.Store(true)
	if c.handlers.Ended != nil {
		c.handlers.Ended(c)
	}
}

// read handles packets until the connection ends.
func (c *Client) read() error {
	for {
		packet, err := c.next()
		at := time.Now()
		switch {
		case err != nil:
			return err
		case string(packet) == "41", string(packet) == "1": // nothing follows but the close frame
			c.SetReadDeadline(at.Add(closeTimeout))
		case bytes.HasPrefix(packet, []byte("43")):
			c.acknowledge(packet[2:])
		case bytes.HasPrefix(packet, []byte(`42["`)) && c.handlers.Event != nil:
			name, _, _ := bytes.Cut(packet[4:], []byte(`"`))
			c.handlers.Event(at, string(name), packet[2:])
		}
	}
}

func (c *Client) acknowledge(packet []byte) {
	id, _, _ := bytes.Cut(packet, []byte("["))
	var replies [1]Reply
	if ack, ok := c.acks.LoadAndDelete(string(id)); ok && json.Unmarshal(packet[len(id):], &replies) == nil {
		ack.(chan Reply) <- replies[0]
	}
}

// Ask sends an event, with an argument in JSON or "", and waits for its
// acknowledgement.
func (c *Client) Ask(event, arg string) (Reply, error) {
	ack, id := make(chan Reply, 1), strconv.FormatInt(c.lastID.Add(1), 10)
	c.acks.Store(id, ack)
	if arg != "" {
		arg = "," + arg
	}
	if err := c.Send(fmt.Sprintf(`42%s[%q%s]`, id, event, arg)); err != nil {
		return Reply{}, err
	}
	select {
	case reply := <-ack:
		return reply, nil
	case <-c.Gone:
		return Reply{}, ErrEnded
	case <-time.After(Patience):
		return Reply{}, fmt.Errorf("%s: no acknowledgement within %s", event, Patience)
	}
}

// Do is Ask where a refusal is an error too.
func (c *Client) Do(event, arg string) error {
	reply, err := c.Ask(event, arg)
	if err == nil && !reply.OK {
		err = fmt.Errorf("%s is refused: %s", event, reply.Error)
	}
	return err
}

// HasEnded reports whether the connection has ended. It is true before Ended is called.
func (c *Client) HasEnded() bool { return c.ended.Load() }

// Close breaks the connection and waits for its end.
func (c *Client) Close() {
	c.Conn.Close()
	<-c.Gone
}
