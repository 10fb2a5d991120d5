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
	candidate := reader{c, conn}
	candidate.attach(&limits{})
	go candidate.probe()
}

// maxCandidatePacket is how long a candidate's packets may be.
const maxCandidatePacket = 64

// probe reads a candidate until it has become the transport, then goes on as its
// reading goroutine. A candidate is probed once: a packet out of turn, or a second
// probe, ends it.
func (r reader) probe() {
	r.ws.SetReadLimit(maxCandidatePacket)
	for probed := false; ; {
		kind, data, err := r.ws.ReadMessage()
		switch {
		case err == nil && string(data) == "2probe" && !probed:
			probed = true
			socketOf(r.ws).Write(AppendText(nil, []byte("3probe")))
			r.c.mu.Lock()
			r.c.wakePoll()
			r.c.mu.Unlock()
		case err == nil && kind == websocket.TextMessage && len(data) > 0 && data[0] == '5' && r.c.takeOver(r.ws):
			r.c.srv.attached(r.c)
			socketOf(r.ws).SetDeadline(time.Time{})
			r.ws.SetReadLimit(int64(r.c.srv.opts.MaxMessage))
			r.c.awaitPost()
			transportOf(r.ws).limits = &r.c.reading
			r.c.session.Upgraded()
			r.read()
			return
		default:
			r.rejectCandidate()
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
func (r reader) rejectCandidate() {
	r.c.mu.Lock()
	if r.c.candidate == r.ws {
		r.c.candidate = nil
	}
	r.c.mu.Unlock()
	reject(r.ws)
}
