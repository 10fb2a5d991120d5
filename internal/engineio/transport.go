package engineio

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/internal/stall"
)

// transport is the network connection of a WebSocket, as the WebSocket library sees
// it. On the way in it counts the frames that become no message: pings, pongs and
// fragments, over which the library reads on inside one call. On the way out it sees
// that our writer is the only one: what the library writes by itself, an answer to a
// close frame or the report of an error, is kept, for our writer to write last. Its
// state is that of the reading goroutine.
type transport struct {
	*stall.Conn
	conn   *Conn   // nil until it belongs to one
	limits *limits // the conn's; a candidate's own

	head [10]byte // the header that is being read, without its mask
	have int      // bytes of it
	skip int64    // bytes up to the next header: mask and payload
}

// fragmentSize is how long a fragment is that costs by its bytes, when its message
// is complete, and not as a packet.
const fragmentSize = 1 << 10

// errFlood ends a connection that goes on sending frames over the rate.
var errFlood = errors.New("too many frames")

// hijacker makes the Upgrader use a transport.
type hijacker struct {
	http.ResponseWriter
	writeTimeout time.Duration
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &transport{Conn: stall.NewConn(conn, h.writeTimeout)}, buffered, nil
}

// transportOf is what a WebSocket is read through.
func transportOf(conn *websocket.Conn) *transport { return conn.NetConn().(*transport) }

// socketOf is the connection below it, which our own frames are written to.
func socketOf(conn *websocket.Conn) *stall.Conn { return transportOf(conn).Conn }

// Read implements net.Conn.
func (t *transport) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if t.conn != nil && !t.observe(p[:n]) {
		return 0, errFlood
	}
	return n, err
}

// observe reads the frame headers in what has come, and counts the frames. It
// reports whether reading goes on.
func (t *transport) observe(b []byte) bool {
	for len(b) > 0 {
		if t.skip > 0 {
			n := min(t.skip, int64(len(b)))
			t.skip -= n
			b = b[n:]
			continue
		}
		t.head[t.have] = b[0]
		t.have++
		b = b[1:]
		length, _, ok := parseHead(t.head[:t.have])
		if !ok {
			continue
		}
		t.have, t.skip = 0, max(length, 0) // a length below 0 ends the connection
		if t.head[1]&0x80 != 0 {
			t.skip += 4 // the mask
		}
		op := t.head[0] & 0xf
		if (op >= 8 || op == opContinuation && length < fragmentSize) && !t.count() { // from 8: control frames
			return false
		}
	}
	return true
}

// count takes a frame into account, and pauses when it is over the rate or when
// enough have come. It reports false for a client that goes on regardless: that
// ends the session, or of a candidate its connection alone.
func (t *transport) count() bool {
	within, disconnect := t.limits.frames.allow(&t.conn.srv.opts, 0)
	switch {
	case disconnect && t.limits != &t.conn.reading: // a candidate
		t.conn.srv.opts.Observer.Refusal(invalidPacket)
		wait(t.conn.over, violationDelay)
		return false
	case disconnect:
		t.conn.Violation()
		return false
	case !within:
		t.conn.Throttle()
	}
	t.limits.pace(t.conn, 0)
	return true
}

// Write implements net.Conn for the WebSocket library. Our own frames go to the
// connection below.
func (t *transport) Write(b []byte) (int, error) {
	if t.conn != nil && t.keepClosing(b) {
		return len(b), nil
	}
	return t.Conn.Write(b) // an answer to the handshake, or of a candidate, which has no other writer
}

// SetWriteDeadline implements net.Conn for the WebSocket library, whose deadlines
// are for its own frames only and would stay.
func (t *transport) SetWriteDeadline(at time.Time) error {
	if t.conn != nil {
		return nil
	}
	return t.Conn.SetWriteDeadline(at)
}

// keepClosing takes a close frame for the writer, if this is the current transport.
func (t *transport) keepClosing(frame []byte) bool {
	c := t.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carrier.ws == nil || transportOf(c.carrier.ws) != t {
		return false
	}
	if !c.life.sealed {
		c.out.closing = bytes.Clone(frame)
	}
	return true
}
