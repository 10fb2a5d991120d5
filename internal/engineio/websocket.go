package engineio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"rollcall/internal/memory"
	"rollcall/internal/stall"
)

// A reader reads one WebSocket of a connection, on a goroutine of its own: the
// transport, or a candidate for it.
type reader struct {
	c  *Conn
	ws *websocket.Conn
}

// attach sets the limits of a WebSocket and sees that only our writer writes to it.
func (r reader) attach(l *limits) {
	t := transportOf(r.ws)
	t.conn, t.limits = r.c, l
	r.ws.SetReadLimit(int64(r.c.srv.opts.MaxMessage))
	answer := r.ws.CloseHandler()
	r.ws.SetCloseHandler(func(code int, text string) error {
		if r.c.isMuted() { // it is the answer to ours
			return nil
		}
		return answer(code, text)
	})
	r.ws.SetPingHandler(func(data string) error {
		r.c.mu.Lock()
		current := r.c.carrier.ws == r.ws
		r.c.mu.Unlock()
		if !current {
			return r.ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(closeWriteTimeout))
		}
		r.c.Send(appendFrame(nil, opPong, []byte(data)))
		return nil
	})
}

// read is the reading goroutine of a WebSocket: it handles each message before
// it reads the next, and ends with the connection. A panic costs no other one.
func (r reader) read() {
	defer func() {
		if p := recover(); p != nil {
			r.c.srv.opts.Log.Error("panic while reading", "panic", p, "stack", string(debug.Stack()))
			r.c.CloseNow()
		}
	}()
	for r.readNext() {
	}
}

// readNext reads and handles a message. It reports whether reading goes on.
func (r reader) readNext() bool {
	m, release, err := r.readMessage()
	if release != nil {
		defer release()
	}
	switch {
	case errors.Is(err, memory.ErrFull):
		r.c.srv.opts.Observer.Refusal("busy")
		r.closeWith(websocket.CloseTryAgainLater)
		return false
	case errors.Is(err, websocket.ErrReadLimit):
		r.c.srv.opts.Observer.Refusal(messageTooLarge)
		r.endReading(r.c.srv.opts.tooLarge())
		return false
	case err != nil:
		r.endReading(Closed)
		return false
	case !m.binary && !utf8.Valid(m.data):
		r.closeWith(websocket.CloseInvalidFramePayloadData)
		return false
	}
	if !r.c.receive(m) {
		r.discardRest()
		return false
	}
	r.c.reading.pace(r.c, len(m.data))
	return true
}

const (
	messageTooLarge = "message_too_large"
	bodyTooLarge    = "body_too_large"
	invalidPacket   = "invalid_packet"
)

// tooLarge says that a message is over its limit.
func (o *Options) tooLarge() Reason {
	return Reason{messageTooLarge, fmt.Sprintf("A message is larger than MAX_MESSAGE, %d bytes", o.MaxMessage)}
}

// scratch is where short messages are read into before a copy of their size is
// made: growing a slice for each leaves several times as much behind.
var scratch = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// messageTimeout bounds how long a message that is longer than the scratch may take.
const messageTimeout = 30 * time.Second

// readMessage reads a message and returns it with a function that gives its memory
// back, when it has been handled, or nil. What is longer than the scratch counts against
// the budget of all connections as it comes.
func (r reader) readMessage() (m message, release func(), err error) {
	kind, in, err := r.ws.NextReader()
	if err != nil {
		return m, nil, err
	}
	m.binary = kind == websocket.BinaryMessage
	begin := scratch.Get().(*[4 << 10]byte)
	defer scratch.Put(begin)
	switch n, err := io.ReadFull(in, begin[:]); err {
	case io.EOF, io.ErrUnexpectedEOF:
		m.data = bytes.Clone(begin[:n])
		return m, nil, nil
	case nil:
		all := io.MultiReader(bytes.NewReader(begin[:]), in)
		m.data, release, err = r.c.srv.opts.Inbound.ReadWithin(context.Background(), all, 0, messageTimeout, r.ws.SetReadDeadline)
		return m, release, err
	default:
		return m, nil, err
	}
}

// closeWriteTimeout bounds the writing of a last frame or answer.
const closeWriteTimeout = time.Second

// closeWith tells the client why the connection ends, and ends it.
func (r reader) closeWith(code int) {
	r.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(closeWriteTimeout))
	r.endReading(Closed)
}

// endReading ends a connection whose WebSocket cannot be read any more. If the client
// is to be told why, the reason follows what is queued. Unread bytes are read first,
// within bounds: else closing would reset the connection, and overtake the reason.
func (r reader) endReading(reason Reason) {
	r.c.mu.Lock()
	tell := r.c.out.closing != nil && !r.c.life.sealed
	r.c.mu.Unlock()
	if tell {
		r.c.end(failed, reason)
		r.drain(socketOf(r.ws))
	}
	r.c.CloseNow()
}

const (
	// A client that sends a message far over the limit reads why only when it has sent
	// all of it. So much is read and thrown away, at 50 MB a second at most, so that
	// it costs nobody else anything.
	drainBytes = 16 << 20
	drainStep  = 256 << 10
	drainPause = 5 * time.Millisecond
	// discardBytes is how much is read of a client that is to close its side.
	discardBytes = 256 << 10
)

// drain reads until the client has closed the connection, CloseTimeout at most.
func (r reader) drain(in *stall.Conn) {
	in.SetReadDeadline(time.Now().Add(r.c.srv.opts.CloseTimeout))
	for range drainBytes / drainStep {
		if _, err := io.CopyN(io.Discard, in, drainStep); err != nil {
			return
		}
		wait(r.c.over, drainPause)
	}
}

// discardRest reads what comes while the connection closes, too late for anything,
// until the client has closed its side or there is no end of it.
func (r reader) discardRest() {
	defer r.c.CloseNow()
	for n := 0; n < discardBytes; {
		_, message, err := r.ws.NextReader()
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

// serveUpgrade takes the WebSocket that a polling client wants to go on with.
// The client probes it, lets its last poll end and then says so; until that
// packet, polling goes on, and if it never comes, nothing has changed.
func (s *Server) serveUpgrade(c *Conn, w http.ResponseWriter, r *http.Request) {
	conn, err := s.upgrade(w, r)
	if err != nil {
		return
	}
	socketOf(conn).SetDeadline(time.Now().Add(s.opts.UpgradeTimeout)) // also of the answer to a probe
	c.mu.Lock()
	taken := c.carrier.ws != nil || c.carrier.candidate != nil || c.life.sealed
	if !taken {
		c.carrier.candidate = conn
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
			r.c.carrier.wakePoll()
			r.c.mu.Unlock()
		case err == nil && kind == websocket.TextMessage && len(data) > 0 && data[0] == '5' && r.takeOver():
			r.c.srv.attached(r.c)
			socketOf(r.ws).SetDeadline(time.Time{})
			r.ws.SetReadLimit(int64(r.c.srv.opts.MaxMessage))
			r.awaitPost()
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
func (r reader) takeOver() bool {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.state == gone || c.carrier.candidate != r.ws {
		return false
	}
	c.carrier.wakePoll() // it ends empty: the queue is the WebSocket's
	c.carrier.ws, c.carrier.candidate = r.ws, nil
	c.deliver()
	return true
}

// awaitPost waits until no POST is being handled, or the connection is over: what
// the client sends over WebSocket behind it comes after it.
func (r reader) awaitPost() {
	r.c.mu.Lock()
	posted := r.c.carrier.posted
	r.c.mu.Unlock()
	if posted != nil {
		select {
		case <-posted:
		case <-r.c.over:
		}
	}
}

// rejectCandidate closes a candidate that did not become the transport.
func (r reader) rejectCandidate() {
	r.c.mu.Lock()
	if r.c.carrier.candidate == r.ws {
		r.c.carrier.candidate = nil
	}
	r.c.mu.Unlock()
	reject(r.ws)
}
