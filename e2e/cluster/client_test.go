package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A client is one Socket.IO connection over WebSocket, without any manners of
// its own: it answers pings and hands over the events.
type client struct {
	conn    *websocket.Conn
	onEvent func(at time.Time, name string, args []json.RawMessage)
	onRaw   func(at time.Time, event []byte) // instead, for those who must be quick
	gone    chan struct{}                    // closed when the connection has ended

	mu   sync.Mutex // guards what follows, and writing
	acks map[int]chan []byte
	last int // acknowledgement id
	over bool
}

var errGone = errors.New("the connection has ended")

// dial connects to an instance. onEvent gets every event, one at a time; ended
// is called after the last, before gone is closed. Either may be nil.
func dial(in *instance, query string, onEvent func(time.Time, string, []json.RawMessage), ended func(*client)) (*client, error) {
	return (&client{onEvent: onEvent}).dial(in, query, ended)
}

func (c *client) dial(in *instance, query string, ended func(*client)) (*client, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 5 * time.Second}
	url := "ws://127.0.0.1:" + in.port + "/socket.io/?EIO=4&transport=websocket&" + query
	conn, _, err := dialer.Dial(url, nil)
	if err != nil {
		return nil, err
	}
	c.conn, c.gone, c.acks = conn, make(chan struct{}), make(map[int]chan []byte)
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	err = c.enter()
	conn.SetReadDeadline(time.Time{})
	if err != nil {
		conn.Close()
		return nil, err
	}
	go func() {
		c.read()
		conn.Close()
		c.mu.Lock()
		c.over = true
		c.mu.Unlock()
		if ended != nil {
			ended(c)
		}
		close(c.gone)
	}()
	return c, nil
}

// enter takes the open packet and joins the namespace.
func (c *client) enter() error {
	for _, want := range []string{"0{", "40{"} {
		if want == "40{" {
			if err := c.send("40"); err != nil {
				return err
			}
		}
		_, b, err := c.conn.ReadMessage()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(b, []byte(want)) {
			return fmt.Errorf("want a packet %s…, got %.100q", want, b)
		}
	}
	return nil
}

func (c *client) read() {
	for {
		_, b, err := c.conn.ReadMessage()
		switch at := time.Now(); {
		case err != nil, string(b) == "41", string(b) == "1":
			return
		case string(b) == "2":
			c.send("3")
		case bytes.HasPrefix(b, []byte("43")):
			c.acknowledge(b[2:])
		case bytes.HasPrefix(b, []byte("42[")) && c.onRaw != nil:
			c.onRaw(at, b[2:])
		case bytes.HasPrefix(b, []byte("42[")) && c.onEvent != nil:
			var args []json.RawMessage
			var name string
			if json.Unmarshal(b[2:], &args) == nil && len(args) > 0 && json.Unmarshal(args[0], &name) == nil {
				c.onEvent(at, name, args[1:])
			}
		}
	}
}

func (c *client) acknowledge(b []byte) {
	at := bytes.IndexByte(b, '[')
	if at < 0 {
		return
	}
	id, err := strconv.Atoi(string(b[:at]))
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ack := c.acks[id]; ack != nil {
		delete(c.acks, id)
		ack <- b[at:]
	}
}

func (c *client) send(packet string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	return c.conn.WriteMessage(websocket.TextMessage, []byte(packet))
}

// ask sends an event, with an argument or without, and waits until it is
// acknowledged as done.
func (c *client) ask(event, arg string) error {
	ack := make(chan []byte, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.acks[id] = ack
	c.mu.Unlock()
	if arg != "" {
		arg = "," + arg
	}
	if err := c.send(fmt.Sprintf(`42%d[%q%s]`, id, event, arg)); err != nil {
		return err
	}
	select {
	case answer := <-ack:
		if !bytes.Contains(answer, []byte(`"ok":true`)) {
			return fmt.Errorf("%s: %s", event, answer)
		}
		return nil
	case <-c.gone:
		return errGone
	case <-time.After(patience):
		return fmt.Errorf("%s: no acknowledgement within %s", event, patience)
	}
}

// isOver reports whether the connection has ended. It is true before ended is
// called.
func (c *client) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// hangUp breaks the connection and waits for its end.
func (c *client) hangUp() {
	c.conn.Close()
	<-c.gone
}
