package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"rollcall/internal/memory"
)

// prepare sets a connection's limits and sees that only our writer writes to it
// while it lives.
func (l *link) prepare(conn *websocket.Conn) {
	meterOf(conn).link = l
	conn.SetReadLimit(int64(l.srv.opts.MaxMessage))
	l.answerClose(conn)
	conn.SetPingHandler(func(data string) error {
		if !l.carriedBy(conn) {
			return conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(hangUpTime))
		}
		l.send(appendFrame(nil, opPong, []byte(data)), nil)
		return nil
	})
}

// carriedBy reports whether a WebSocket is the transport, no candidate for it.
func (l *link) carriedBy(conn *websocket.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ws == conn
}

// answerClose answers a client's close frame, unless it is the answer to ours.
func (l *link) answerClose(conn *websocket.Conn) {
	answer := conn.CloseHandler()
	conn.SetCloseHandler(func(code int, text string) error {
		if l.isClosing() {
			return nil
		}
		return answer(code, text)
	})
}

// read is the reading goroutine of a WebSocket: it handles each message before
// it reads the next, and ends with the connection.
func (l *link) read(conn *websocket.Conn) {
	defer l.survive()
	for l.readNext(conn) {
	}
}

// readNext reads and handles a message. It reports whether reading goes on.
func (l *link) readNext(conn *websocket.Conn) bool {
	m, release, err := l.readMessage(conn)
	defer release()
	switch {
	case errors.Is(err, memory.ErrFull):
		l.srv.opts.Observer.Refusal("busy")
		l.closeWith(conn, websocket.CloseTryAgainLater)
		return false
	case errors.Is(err, websocket.ErrReadLimit): // few clients show the code of the close
		l.srv.opts.Observer.Refusal(messageTooLarge)
		l.session.Load().Send(errorEvent("", messageTooLarge, l.messageLimit()+"."))
		l.hangUp(conn)
		return false
	case err != nil:
		l.hangUp(conn)
		return false
	case !m.binary && !utf8.Valid(m.data):
		l.closeWith(conn, websocket.CloseInvalidFramePayloadData)
		return false
	}
	if !l.receive(m) {
		l.readLate(conn)
		return false
	}
	l.breathe(len(m.data))
	return true
}

// closeWith tells the client why the connection ends, and ends it.
func (l *link) closeWith(conn *websocket.Conn, code int) {
	conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(hangUpTime))
	l.hangUp(conn)
}

// survive sees that a panic costs one connection only.
func (l *link) survive() {
	if p := recover(); p != nil {
		l.srv.opts.Log.Error("panic while reading", "panic", p, "stack", string(debug.Stack()))
		l.drop()
	}
}

// readLate reads what comes while the link closes, too late for anything, until
// the client has hung up or there is no end of it.
func (l *link) readLate(conn *websocket.Conn) {
	for late := 0; late < hangUpBytes; {
		_, message, err := conn.NextReader()
		if err != nil {
			l.drop()
			return
		}
		n, _ := io.Copy(io.Discard, message) // an error comes again with the next
		late += int(n) + frameCost
	}
	l.drop()
}

const (
	hangUpTime  = time.Second
	hangUpBytes = 256 << 10
	// frameCost is what any frame costs beside its bytes, about, in bytes.
	frameCost = 64
)

// scratch is where short messages are read into before a copy of their size is
// made: growing a slice for each leaves several times as much behind.
var scratch = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// messageTime bounds how long a message that is longer than the scratch may take.
const messageTime = 30 * time.Second

// readMessage reads a message and returns it with a function that gives its memory
// back, when it has been handled. What is longer than the scratch counts against
// the budget of all connections as it comes.
func (l *link) readMessage(conn *websocket.Conn) (m message, release func(), err error) {
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
	m.data, release, err = l.srv.opts.Inbound.ReadWithin(context.Background(), all, 0, messageTime, conn.SetReadDeadline)
	if err != nil {
		return message{}, nothing, err
	}
	return m, release, nil
}

// push is send for who has the time: it writes to an idle WebSocket here and now,
// without waiting. What the socket does not take is left to a writer.
func (l *link) push(frames []byte, s *settlement) { l.pushRun(run{frames: frames}, s) }

// pushRun is push for frames that others may get too.
func (l *link) pushRun(r run, s *settlement) {
	frames := r.frames
	l.mu.Lock()
	if l.ws == nil || l.writing || l.queued > 0 || l.closing || l.dropped {
		l.mu.Unlock()
		l.enqueue(r, s)
		return
	}
	l.writing, l.queued = true, r.cost()
	conn := l.ws
	l.mu.Unlock()

	n := writeNow(socketOf(conn), frames)

	l.mu.Lock()
	over := false
	switch {
	case l.dropped, l.discarded:
	case n < len(frames):
		rest := run{frames[n:], r.shared}
		l.queue = append([]run{rest}, l.queue...)
		l.queued -= n
		over = l.hold(rest)
		if s != nil {
			s.add()
			l.settle = s
		}
	default:
		l.queued -= r.cost()
	}
	if l.writing = len(l.queue) > 0 || l.closing; l.writing {
		go l.write(conn)
	}
	l.mu.Unlock()
	if over {
		l.srv.evict()
	}
	if n == len(frames) {
		l.srv.opts.Observer.Out(1, n+frameCost)
	}
}

// write is the writing goroutine of a WebSocket: it exists while there is
// something to write, and joins all that is queued into one call.
func (l *link) write(conn *websocket.Conn) {
	out := socketOf(conn)
	for {
		l.mu.Lock()
		if len(l.queue) == 0 || l.dropped {
			closing := l.closing && !l.dropped
			settle := l.settle
			l.writing, l.settle = false, nil
			l.mu.Unlock()
			if settle != nil {
				settle.done()
			}
			if closing {
				l.sayGoodbye(out)
			}
			return
		}
		bytes := l.queued
		runs := l.takeRuns(math.MaxInt)
		l.mu.Unlock()

		frames := len(runs)
		buffers := make(net.Buffers, frames)
		for i, r := range runs {
			buffers[i] = r.frames
		}
		_, err := out.WriteBuffers(buffers)

		l.mu.Lock()
		l.written()
		l.queued -= bytes
		l.mu.Unlock()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.cutOff("it takes nothing")
		case err != nil:
			l.drop()
		}
		l.srv.opts.Observer.Out(frames, bytes)
	}
}
