package wire

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/internal/stall"
)

// meter counts the WebSocket frames that become no message of their own: pings,
// pongs, and fragments. The WebSocket library reads on over them inside one call,
// and tells nobody of an empty fragment; so their headers are read here, from the
// bytes that pass by to the library. Its state is that of the reading goroutine.
type meter struct {
	*stall.Conn
	link *link // nil until the connection belongs to one

	candidate bool   // it is not the transport yet
	frames    *quota // nil until the first frame that counts
	bytes     int    // that such frames cost since the last pause

	head [10]byte // the header that is being read, without its mask
	have int      // bytes of it
	skip int64    // bytes up to the next header: mask and payload
}

// fragmentSize is how long a fragment is that costs by its bytes, when its message
// is complete, and not as a packet.
const fragmentSize = 1 << 10

// errFlood ends a connection that goes on sending frames over the rate.
var errFlood = errors.New("too many frames")

// metered makes the Upgrader use a meter.
type metered struct {
	http.ResponseWriter
	writeTimeout time.Duration
}

func (m metered) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(m.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &meter{Conn: stall.NewConn(conn, m.writeTimeout)}, buffered, nil
}

// meterOf is the meter that a connection is read through.
func meterOf(conn *websocket.Conn) *meter { return conn.NetConn().(*meter) }

// socketOf is the connection below the meter, which our own frames are written to.
func socketOf(conn *websocket.Conn) *stall.Conn { return meterOf(conn).Conn }

// Read implements net.Conn.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.link != nil && !m.observe(p[:n]) {
		return 0, errFlood
	}
	return n, err
}

// observe reads the frame headers in what has come, and counts the frames. It
// reports whether reading goes on.
func (m *meter) observe(b []byte) bool {
	for len(b) > 0 {
		if m.skip > 0 {
			n := min(m.skip, int64(len(b)))
			m.skip -= n
			b = b[n:]
			continue
		}
		m.head[m.have] = b[0]
		m.have++
		b = b[1:]
		op, length, mask, ok := parseHead(m.head[:m.have])
		if !ok {
			continue
		}
		m.have, m.skip = 0, mask+max(length, 0) // a length below 0 ends the connection
		control := op >= 8
		if (control || op == opContinuation && length < fragmentSize) && !m.count() {
			return false
		}
	}
	return true
}

// opContinuation is a fragment that is not a message's first one.
const opContinuation = 0

// parseHead reads a frame's header; ok is false while there is more of it to come.
func parseHead(head []byte) (op byte, length, mask int64, ok bool) {
	if len(head) < 2 {
		return 0, 0, 0, false
	}
	op, length = head[0]&0xf, int64(head[1]&0x7f)
	more := 0
	switch length {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	if len(head) < 2+more {
		return 0, 0, 0, false
	}
	if more > 0 {
		length = 0
		for _, b := range head[2 : 2+more] {
			length = length<<8 | int64(b)
		}
	}
	if head[1]&0x80 != 0 {
		mask = 4
	}
	return op, length, mask, true
}

// count takes a frame into account, and pauses when it is over the rate or when
// enough have come. It reports false for a client that goes on regardless.
func (m *meter) count() bool {
	if m.frames == nil {
		q := newQuota(m.link.srv.opts)
		m.frames = &q
	}
	within, over := m.frames.take(0)
	if over {
		m.flooded()
		return false
	}
	if !within {
		m.link.rest()
	}
	if m.bytes += frameCost; m.bytes >= longestTurn {
		m.link.pause(time.Duration(m.bytes) * perByte)
		m.bytes = 0
	}
	return true
}

// flooded ends the session as one that broke the protocol; of a candidate, its
// connection alone.
func (m *meter) flooded() {
	if !m.candidate {
		m.link.session.Load().violation()
		return
	}
	m.link.srv.opts.Observer.Refusal("invalid_packet")
	m.link.repent()
}
