package wire

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// serveUpgrade takes the WebSocket that a polling client wants to go on with.
// The client probes it, lets its last poll end and then says so; until that
// packet, polling goes on, and if it never comes, nothing has changed.
func (l *link) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	conn, err := l.srv.upgrade(w, r)
	if err != nil {
		return
	}
	socketOf(conn).SetDeadline(time.Now().Add(l.srv.opts.UpgradeTimeout)) // also of the answer to a probe
	l.mu.Lock()
	taken := l.ws != nil || l.candidate != nil || l.closing
	if !taken {
		l.candidate = conn
	}
	l.mu.Unlock()
	if taken { // one upgrade only, as Node: the new connection is closed
		reject(conn)
		return
	}
	meterOf(conn).candidate = true
	l.prepare(conn)
	go l.probe(conn)
}

// maxCandidate is how long a candidate's packets may be.
const maxCandidate = 64

// probe reads a candidate until it has become the transport, then goes on as its
// reading goroutine. A candidate is probed once: what is not in its turn, or a
// second probe, ends it.
func (l *link) probe(conn *websocket.Conn) {
	conn.SetReadLimit(maxCandidate)
	for probed := false; ; {
		kind, data, err := conn.ReadMessage()
		switch {
		case err == nil && string(data) == "2probe" && !probed:
			probed = true
			socketOf(conn).Write(appendFrame(nil, opText, []byte("3probe")))
			l.mu.Lock()
			l.wakePoll()
			l.mu.Unlock()
		case err == nil && kind == websocket.TextMessage && len(data) > 0 && data[0] == '5' && l.take(conn):
			l.srv.attached(l)
			meterOf(conn).candidate = false
			l.session.Load().upgraded()
			conn.SetReadLimit(int64(l.srv.opts.MaxMessage))
			socketOf(conn).SetDeadline(time.Time{})
			l.awaitPost()
			l.read(conn)
			return
		default:
			l.abandon(conn)
			return
		}
	}
}

// take makes the candidate the transport. What is queued leaves through it.
func (l *link) take(conn *websocket.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped || l.candidate != conn {
		return false
	}
	l.wakePoll() // it ends empty: the queue is the WebSocket's
	l.ws, l.candidate = conn, nil
	l.deliver()
	return true
}

// abandon closes a candidate that did not become the transport.
func (l *link) abandon(conn *websocket.Conn) {
	l.mu.Lock()
	if l.candidate == conn {
		l.candidate = nil
	}
	l.mu.Unlock()
	reject(conn)
}
