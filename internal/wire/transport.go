package wire

import (
	"bytes"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/internal/stall"
	"rollcall/rooms"
)

// This file sees that our writer is the only one of a WebSocket. What the WebSocket
// library writes by itself, an answer to a close frame or the report of an error,
// is kept as the link's goodbye, which the writer writes last.

// Write implements net.Conn for the WebSocket library. Our own frames go to the
// connection below.
func (m *meter) Write(b []byte) (int, error) {
	if m.link != nil && m.link.keepGoodbye(m, b) {
		return len(b), nil
	}
	return m.Conn.Write(b) // an answer to the handshake, or of a candidate, which has no other writer
}

// SetWriteDeadline implements net.Conn for the WebSocket library, whose deadlines
// are for its own frames only and would stay.
func (m *meter) SetWriteDeadline(t time.Time) error {
	if m.link != nil {
		return nil
	}
	return m.Conn.SetWriteDeadline(t)
}

// keepGoodbye takes a close frame for the writer, if the connection is the
// current transport.
func (l *link) keepGoodbye(m *meter, frame []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ws == nil || l.ws.NetConn() != net.Conn(m) {
		return false
	}
	if !l.closing {
		l.goodbye = bytes.Clone(frame)
	}
	return true
}

// sayGoodbye writes the last frame: ours, after which the client hangs up, or the
// answer to the client's, after which we do.
func (l *link) sayGoodbye(out *stall.Conn) {
	l.mu.Lock()
	goodbye := l.goodbye
	l.mu.Unlock()
	if goodbye == nil {
		out.Write(closeFrame)
		return
	}
	if _, err := out.Write(goodbye); err == nil {
		out.CloseWrite()
	}
}

// hangUp ends a link whose connection cannot be read any more. If the client is
// to be told why, the reason follows what is queued. Closing while bytes of the
// client are unread would reset the connection, and the reset overtake the
// reason: so they are read first, within bounds.
func (l *link) hangUp(conn *websocket.Conn) {
	l.mu.Lock()
	mute := l.goodbye == nil || l.closing
	l.mu.Unlock()
	if !mute {
		l.fail(rooms.Closed)
		l.drain(socketOf(conn))
	}
	l.drop()
}

// A client that sends a message far over the limit reads why only when it has sent
// all of it. So much is read and thrown away, at 50 MB a second at most, so that
// it costs nobody else anything.
const (
	drainBytes = 16 << 20
	drainStep  = 256 << 10
	drainPause = 5 * time.Millisecond
)

// drain reads until the client has hung up, CloseTimeout at most.
func (l *link) drain(out *stall.Conn) {
	out.SetReadDeadline(time.Now().Add(l.srv.opts.CloseTimeout))
	for range drainBytes / drainStep {
		if _, err := io.CopyN(io.Discard, out, drainStep); err != nil {
			return
		}
		l.pause(drainPause)
	}
}

// reject closes a connection that does not carry the session, and that nobody
// else writes to. It takes hangUpTime at most.
func reject(conn *websocket.Conn) {
	out := socketOf(conn)
	out.SetWriteDeadline(time.Now().Add(hangUpTime))
	out.Write(closeFrame)
	out.Close()
}
