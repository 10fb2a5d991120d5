// Package client is a Socket.IO client (protocol 4, WebSocket) for the tests in
// Go: it connects, answers pings, matches acknowledgements and hands over
// events; over polling it only makes sessions. What lives here: the protocol, as a client sees it. What may not: what
// a test expects of it, and any package of the module.
package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	handshakeTimeout = 10 * time.Second
	timeout          = 30 * time.Second // of a write, and of an acknowledgement
	closeTimeout     = 2 * time.Second  // of a server that said goodbye
)

// ErrEnded is the error of whatever waits on a connection that has ended.
var ErrEnded = errors.New("the connection has ended")

// Dialer makes the WebSockets. It may be copied and changed.
var Dialer = websocket.Dialer{HandshakeTimeout: handshakeTimeout}

// URL is the endpoint of a server on this machine, for WebSockets.
func URL(port, query string) string {
	return "ws://127.0.0.1:" + port + "/socket.io/?EIO=4&transport=websocket&" + query
}

// Open makes a WebSocket and reads the open packet. An HTTP status that refuses
// it is part of the error.
func Open(port, query string, header http.Header) (*websocket.Conn, error) {
	conn, response, err := Dialer.Dial(URL(port, query), header)
	if err != nil {
		if response != nil {
			return nil, fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, err
	}
	return conn, expect(conn, "0{")
}

// Connect is Open and CONNECT to the namespace /, with a payload or "". The
// connection is left without a read deadline.
func Connect(port, query, payload string, header http.Header) (*websocket.Conn, error) {
	conn, err := Open(port, query, header)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40"+payload)); err != nil {
		conn.Close()
		return nil, err
	}
	if err := expect(conn, "40{"); err != nil {
		return nil, err
	}
	return conn, conn.SetReadDeadline(time.Time{})
}

// OpenPolling makes a session over polling, with a protocol in its query, and returns
// the path of its further requests. It is not connected to a namespace.
func OpenPolling(port, query string) (path string, err error) {
	path = "/socket.io/?transport=polling&" + query
	response, err := pollingClient.Get("http://127.0.0.1:" + port + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	_, rest, _ := strings.Cut(string(body), `"sid":"`)
	sid, _, ok := strings.Cut(rest, `"`)
	if err != nil || !ok {
		return "", fmt.Errorf("handshake over polling: %s %.200s (%w)", response.Status, body, err)
	}
	return path + "&sid=" + sid, nil
}

var pollingClient = &http.Client{Timeout: timeout}

// expect reads a packet that has to begin so; else it closes the connection.
func expect(conn *websocket.Conn, prefix string) error {
	conn.SetReadDeadline(time.Now().Add(handshakeTimeout))
	_, packet, err := conn.ReadMessage()
	if err == nil && !bytes.HasPrefix(packet, []byte(prefix)) {
		err = fmt.Errorf("want a packet %s…, got %.200q", prefix, packet)
	}
	if err != nil {
		conn.Close()
	}
	return err
}

// Handlers are called by a client's reading goroutine, one at a time. Each may
// be nil.
type Handlers struct {
	// Event gets each event: its name and its arguments.
	Event func(at time.Time, name string, args []json.RawMessage)
	// Raw gets each event as its JSON array, instead of Event: for clients that
	// must not spend time on decoding.
	Raw func(at time.Time, event []byte)
	// Ended is called once, after the last event and before Gone is closed.
	Ended func(*Client)
}

// A Client is one connection that is in the namespace /. It is safe for
// concurrent use.
type Client struct {
	Conn *websocket.Conn
	Gone chan struct{} // closed when the connection has ended
	Err  error         // why it ended; set before Gone is closed

	handlers Handlers

	mu    sync.Mutex // guards what follows, and writing
	acks  map[int]chan Reply
	last  int // acknowledgement id
	ended bool
}

// A Reply is what an event was acknowledged with.
type Reply struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

// Dial connects a client, which reads from then on.
func Dial(port, query string, handlers Handlers) (*Client, error) {
	conn, err := Connect(port, query, "", nil)
	if err != nil {
		return nil, err
	}
	c := &Client{Conn: conn, Gone: make(chan struct{}), handlers: handlers, acks: make(map[int]chan Reply)}
	go c.run()
	return c, nil
}

func (c *Client) run() {
	defer close(c.Gone)
	c.Err = c.read()
	c.Conn.Close()
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	if c.handlers.Ended != nil {
		c.handlers.Ended(c)
	}
}

// read handles packets until the connection ends.
func (c *Client) read() error {
	for {
		_, packet, err := c.Conn.ReadMessage()
		at := time.Now()
		switch kind := string(packet); {
		case err != nil:
			return err
		case kind == "41", kind == "1": // nothing follows but the close frame
			c.Conn.SetReadDeadline(at.Add(closeTimeout))
		case kind == "2":
			c.Send("3")
		case strings.HasPrefix(kind, "43"):
			c.acknowledge(packet[2:])
		case strings.HasPrefix(kind, "42["):
			c.event(at, packet[2:])
		}
	}
}

func (c *Client) event(at time.Time, event []byte) {
	if c.handlers.Raw != nil {
		c.handlers.Raw(at, event)
		return
	}
	var args []json.RawMessage
	var name string
	if c.handlers.Event != nil && json.Unmarshal(event, &args) == nil && len(args) > 0 && json.Unmarshal(args[0], &name) == nil {
		c.handlers.Event(at, name, args[1:])
	}
}

func (c *Client) acknowledge(packet []byte) {
	at := max(0, bytes.IndexByte(packet, '['))
	id, err := strconv.Atoi(string(packet[:at]))
	var replies []Reply
	if err != nil || json.Unmarshal(packet[at:], &replies) != nil || len(replies) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ack := c.acks[id]; ack != nil {
		delete(c.acks, id)
		ack <- replies[0]
	}
}

// Send writes a packet.
func (c *Client) Send(packet string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Conn.SetWriteDeadline(time.Now().Add(timeout))
	return c.Conn.WriteMessage(websocket.TextMessage, []byte(packet))
}

// Ask sends an event, with an argument in JSON or "", and waits for its
// acknowledgement.
func (c *Client) Ask(event, arg string) (Reply, error) {
	ack := make(chan Reply, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.acks[id] = ack
	c.mu.Unlock()
	if arg != "" {
		arg = "," + arg
	}
	if err := c.Send(fmt.Sprintf(`42%d[%q%s]`, id, event, arg)); err != nil {
		return Reply{}, err
	}
	select {
	case reply := <-ack:
		return reply, nil
	case <-c.Gone:
		return Reply{}, ErrEnded
	case <-time.After(timeout):
		return Reply{}, fmt.Errorf("%s: no acknowledgement within %s", event, timeout)
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

// HasEnded reports whether the connection has ended. It is true before Ended is
// called.
func (c *Client) HasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Close breaks the connection and waits for its end.
func (c *Client) Close() {
	c.Conn.Close()
	<-c.Gone
}
