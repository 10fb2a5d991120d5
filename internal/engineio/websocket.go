package engineio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"rollcall/internal/memory"
	"rollcall/internal/stall"
)

// attach sets the limits of a WebSocket and sees that only our writer writes to it.
func (c *Conn) attach(conn *websocket.Conn, l *limits) {
	t := transportOf(conn)
	t.conn, t.limits = c, l
	conn.SetReadLimit(int64(c.srv.opts.MaxMessage))
	answer := conn.CloseHandler()
	conn.SetCloseHandler(func(code int, text string) error {
		if c.isMuted() { // it is the answer to ours
			return nil
		}
		return answer(code, text)
	})
	conn.SetPingHandler(func(data string) error {
		if !c.carriedBy(conn) {
			return conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(closeWriteTimeout))
		}
		c.Send(appendFrame(nil, opPong, []byte(data)))
		return nil
	})
}

// carriedBy reports whether a WebSocket is the transport, no candidate for it.
func (c *Conn) carriedBy(conn *websocket.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws == conn
}

// read is the reading goroutine of a WebSocket: it handles each message before
// it reads the next, and ends with the connection.
func (c *Conn) read(conn *websocket.Conn) {
	defer c.recover()
	for c.readNext(conn) {
	}
}

// recover sees that a panic costs one connection only.
func (c *Conn) recover() {
	if p := recover(); p != nil {
		c.srv.opts.Log.Error("panic while reading", "panic", p, "stack", string(debug.Stack()))
		c.CloseNow()
	}
}

// readNext reads and handles a message. It reports whether reading goes on.
func (c *Conn) readNext(conn *websocket.Conn) bool {
	m, release, err := c.readMessage(conn)
	defer release()
	switch {
	case errors.Is(err, memory.ErrFull):
		c.srv.opts.Observer.Refusal("busy")
		c.closeWith(conn, websocket.CloseTryAgainLater)
		return false
	case errors.Is(err, websocket.ErrReadLimit):
		c.srv.opts.Observer.Refusal(messageTooLarge)
		c.endReading(conn, c.tooLarge())
		return false
	case err != nil:
		c.endReading(conn, Closed)
		return false
	case !m.binary && !utf8.Valid(m.data):
		c.closeWith(conn, websocket.CloseInvalidFramePayloadData)
		return false
	}
	if !c.receive(m) {
		c.discardRest(conn)
		return false
	}
	c.pace(&c.reading, len(m.data))
	return true
}

const (
	messageTooLarge = "message_too_large"
	bodyTooLarge    = "body_too_large"
	invalidPacket   = "invalid_packet"
)

// tooLarge says that a message is over its limit.
func (c *Conn) tooLarge() Reason {
	return Reason{messageTooLarge, fmt.Sprintf("A message is larger than MAX_MESSAGE, %d bytes", c.srv.opts.MaxMessage)}
}

// scratch is where short messages are read into before a copy of their size is
// made: growing a slice for each leaves several times as much behind.
var scratch = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// messageTimeout bounds how long a message that is longer than the scratch may take.
const messageTimeout = 30 * time.Second

// readMessage reads a message and returns it with a function that gives its memory
// back, when it has been handled. What is longer than the scratch counts against
// the budget of all connections as it comes.
func (c *Conn) readMessage(conn *websocket.Conn) (m message, release func(), err error) {
	nothing := func() {}
	kind, r, err := conn.NextReader()
	if err != nil {
		return message{}, nothing, err
	}
	m.binary = kind == websocket.BinaryMessage
	begin := scratch.Get().(*[4 << 10]byte)
	defer scratch.Put(begin)
	n, err := io.ReadFull(r, begin[:])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		m.data = bytes.Clone(begin[:n])
		return m, nothing, nil
	}
	if err != nil {
		return message{}, nothing, err
	}
	all := io.MultiReader(bytes.NewReader(begin[:]), r)
	m.data, release, err = c.srv.opts.Inbound.ReadWithin(context.Background(), all, 0, messageTimeout, conn.SetReadDeadline)
	if err != nil {
		return message{}, nothing, err
	}
	return m, release, nil
}

// closeWriteTimeout bounds the writing of a last frame or answer.
const closeWriteTimeout = time.Second

// closeWith tells the client why the connection ends, and ends it.
func (c *Conn) closeWith(conn *websocket.Conn, code int) {
	conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(closeWriteTimeout))
	c.endReading(conn, Closed)
}

// endReading ends a connection whose WebSocket cannot be read any more. If the client
// is to be told why, the reason follows what is queued. Closing while bytes of the
// client are unread would reset the connection, and the reset overtake the reason: so
// they are read first, within bounds.
func (c *Conn) endReading(conn *websocket.Conn, reason Reason) {
	c.mu.Lock()
	silent := c.closing == nil || c.sealed
	c.mu.Unlock()
	if !silent {
		c.end(failed, reason)
		c.drain(socketOf(conn))
	}
	c.CloseNow()
}

// A client that sends a message far over the limit reads why only when it has sent
// all of it. So much is read and thrown away, at 50 MB a second at most, so that
// it costs nobody else anything.
const (
	drainBytes = 16 << 20
	drainStep  = 256 << 10
	drainPause = 5 * time.Millisecond
)

// drain reads until the client has closed the connection, CloseTimeout at most.
func (c *Conn) drain(in *stall.Conn) {
	in.SetReadDeadline(time.Now().Add(c.srv.opts.CloseTimeout))
	for range drainBytes / drainStep {
		if _, err := io.CopyN(io.Discard, in, drainStep); err != nil {
			return
		}
		c.pause(drainPause)
	}
}

// discardBytes is how much is read of a client that is to close its side.
const discardBytes = 256 << 10

// discardRest reads what comes while the connection closes, too late for anything,
// until the client has closed its side or there is no end of it.
func (c *Conn) discardRest(conn *websocket.Conn) {
	defer c.CloseNow()
	for n := 0; n < discardBytes; {
		_, message, err := conn.NextReader()
		if err != nil {
			return
		}
		discarded, _ := io.Copy(io.Discard, message) // an error comes again with the next
		n += int(discarded) + frameCost
	}
}

// reject closes a WebSocket that does not carry the session, and that nobody else
// writes to. It takes closeWriteTimeout at most.
func reject(conn *websocket.Conn) {
	out := socketOf(conn)
	out.SetWriteDeadline(time.Now().Add(closeWriteTimeout))
	out.Write(closeFrame)
	out.Close()
}
