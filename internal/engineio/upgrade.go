package engineio

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// serveUpgrade takes the WebSocket that a polling client wants to go on with.
// The client probes it, lets its last poll end and then says so; until that
// packet, polling goes on, and if it never comes, nothing has changed.
func (c *Conn) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	conn, err := c.srv.upgrade(w, r)
	if err != nil {
		return
	}
	socketOf(conn).SetDeadline(time.Now().Add(c.srv.opts.UpgradeTimeout)) // also of the answer to a probe
	c.mu.Lock()
	taken := c.ws != nil || c.candidate != nil || c.sealed
	if !taken {
		c.candidate = conn
	}
	c.mu.Unlock()
	if taken { // one upgrade only, as Node: the new connection is closed
		reject(conn)
		return
	}
	c.attach(conn, &limits{})
	go c.probe(conn)
}

// maxCandidatePacket is how long a candidate's packets may be.
const maxCandidatePacket = 64

// probe reads a candidate until it has become the transport, then goes on as its
// reading goroutine. A candidate is probed once: a packet out of turn, or a second
// probe, ends it.
func (c *Conn) probe(conn *websocket.Conn) {
	conn.SetReadLimit(maxCandidatePacket)
	for probed := false; ; {
		kind, data, err := conn.ReadMessage()
		switch {
		case err == nil && string(data) == "2probe" && !probed:
			probed = true
			socketOf(conn).Write(AppendText(nil, []byte("3probe")))
			c.mu.Lock()
			c.wakePoll()
			c.mu.Unlock()
		case err == nil && kind == websocket.TextMessage && len(data) > 0 && data[0] == '5' && c.takeOver(conn):
			c.srv.attached(c)
			socketOf(conn).SetDeadline(time.Time{})
			conn.SetReadLimit(int64(c.srv.opts.MaxMessage))
			c.awaitPost()
			transportOf(conn).limits = &c.reading
			c.session.Upgraded()
			c.read(conn)
			return
		default:
			c.rejectCandidate(conn)
			return
		}
	}
}

// takeOver makes the candidate the transport. What is queued leaves through it.
func (c *Conn) takeOver(conn *websocket.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == gone || c.candidate != conn {
		return false
	}
	c.wakePoll() // it ends empty: the queue is the WebSocket's
	c.ws, c.candidate = conn, nil
	c.deliver()
	return true
}

// rejectCandidate closes a candidate that did not become the transport.
func (c *Conn) rejectCandidate(conn *websocket.Conn) {
	c.mu.Lock()
	if c.candidate == conn {
		c.candidate = nil
	}
	c.mu.Unlock()
	reject(conn)
}
