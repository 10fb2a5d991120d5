package engineio

import (
	"errors"
	"math"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"rollcall/internal/stall"
)

// This file is how frames leave: into the queue, and from there to a WebSocket.

// A Flush waits for the writers of connections that could not write at once. The
// zero value is not usable.
type Flush struct {
	left atomic.Int64
	all  chan struct{} // closed when none is left
}

// NewFlush makes a flush, which ends with Wait.
func NewFlush() *Flush {
	f := &Flush{all: make(chan struct{})}
	f.left.Store(1)
	return f
}

func (f *Flush) done() {
	if f != nil && f.left.Add(-1) == 0 {
		close(f.all)
	}
}

// Wait returns when all has been written that Conn.Write was given, or after
// timeout. Nothing is added after it.
func (f *Flush) Wait(timeout time.Duration) {
	f.done() // its own part
	wait(f.all, timeout)
}

// await lets a flush wait until the queue has been written.
func (o *outbox) await(f *Flush) {
	if f != nil {
		f.left.Add(1)
		o.flush = f
	}
}

// A Stream is a part of what a connection sends: until Open its runs are held back,
// though they count as queued, and after Close they are dropped. Safe for concurrent
// use.
type Stream struct {
	conn  *Conn
	state streamState // conn.mu guards it
}

type streamState uint8

const (
	streamHeld streamState = iota
	streamOpen
	streamClosed
)

// NewStream makes a stream, which is not open yet.
func (c *Conn) NewStream() Stream { return Stream{conn: c} }

// Send is the connection's.
func (s *Stream) Send(frames []byte) {
	s.conn.mu.Lock()
	s.conn.unlock(s.conn.put(s, Run{frames: frames}, nil))
}

// Write is the connection's.
func (s *Stream) Write(r Run, f *Flush) { s.conn.write(s, r, f) }

// Open queues what was held back.
func (s *Stream) Open() { s.become(streamOpen) }

// Close lets go of what is held back.
func (s *Stream) Close() { s.become(streamClosed) }

func (s *Stream) become(state streamState) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.state = state
	o := &c.out
	o.held = slices.DeleteFunc(o.held, func(h heldRun) bool {
		switch {
		case h.of != s:
			return false
		case state == streamOpen && !c.life.sealed:
			o.push(h.run)
		default:
			o.count(-1, h.run)
		}
		return true
	})
	if len(o.held) == 0 {
		o.held = nil
	}
	if len(o.queue) > 0 {
		c.deliver()
	}
}

// always is the stream of what a connection sends in none.
var always = &Stream{state: streamOpen}

// Send queues frames behind everything queued before; a goroutine of the
// connection's writes them. A client whose queue is over MaxQueue is disconnected.
func (c *Conn) Send(frames []byte) {
	c.mu.Lock()
	c.unlock(c.put(always, Run{frames: frames}, nil))
}

// Write is Send, but writes to an idle WebSocket here and now, without waiting. What
// the socket does not take is left to a writer, for which f waits if it is not nil.
func (c *Conn) Write(r Run, f *Flush) { c.write(always, r, f) }

// unlock releases c.mu, and then makes room if all queues are too long.
func (c *Conn) unlock(over bool) {
	c.mu.Unlock()
	if over {
		c.srv.makeRoom()
	}
}

// put queues a run of a stream or holds it back, and reports whether all queues are too
// long then. If the connection was idle, f waits for the run. c.mu is held.
func (c *Conn) put(s *Stream, r Run, f *Flush) (over bool) {
	o, held, before := &c.out, s.state == streamHeld, c.out.queued
	switch {
	case held && len(o.held) > 0:
		before = int(o.waiting.Load())
	case held:
		before = 0
	}
	switch {
	case c.life.sealed, s.state == streamClosed:
		return false
	case before > 0 && before+r.cost() > c.srv.opts.MaxQueue: // one run may be larger: a list is
		c.life.sealed = true
		go c.srv.disconnectSlow(c, "its queue is too long") // the sender may hold a lock
		return false
	case held:
		o.held = append(o.held, heldRun{s, r})
	default:
		o.push(r)
		if c.deliver() && before == 0 {
			o.await(f)
		}
	}
	c.life.said = c.life.told
	return o.count(1, r)
}

func (c *Conn) write(s *Stream, r Run, f *Flush) {
	c.mu.Lock()
	o, ws := &c.out, c.carrier.ws
	if ws == nil || o.writing || o.queued > 0 || c.life.sealed || s.state != streamOpen {
		c.unlock(c.put(s, r, f))
		return
	}
	o.writing, o.queued = true, r.cost()
	c.mu.Unlock()

	n := writeNow(socketOf(ws), r.frames)

	c.mu.Lock()
	over := false
	switch {
	case !c.life.hasQueue():
	case n < len(r.frames):
		rest := Run{r.frames[n:], r.shared}
		o.queue = append([]Run{rest}, o.queue...)
		o.queued -= n
		over = o.count(1, rest)
		o.await(f)
	default:
		o.queued -= r.cost()
	}
	if o.writing = len(o.queue) > 0 || c.life.sealed; o.writing {
		go writer{c, socketOf(ws)}.run()
	}
	c.unlock(over)
	if n == len(r.frames) {
		c.srv.opts.Observer.Out(1, n+frameCost)
	}
}

// deliver sees that what is queued leaves, by a writer or by the poll that waits, and
// reports whether it started a writer. c.mu is held, so the writer finds all that its
// starter does under it.
func (c *Conn) deliver() (started bool) {
	switch {
	case c.carrier.ws == nil:
		c.carrier.wakePoll()
	case !c.out.writing:
		c.out.writing = true
		go writer{c, socketOf(c.carrier.ws)}.run()
		return true
	}
	return false
}

// A writer writes to a connection's WebSocket.
type writer struct {
	c   *Conn
	out *stall.Conn
}

// run is the writing goroutine of a WebSocket: it exists while there is something to
// write, and joins all that is queued into one call.
func (w writer) run() {
	c, o := w.c, &w.c.out
	for {
		c.mu.Lock()
		if len(o.queue) == 0 || c.life.state == gone {
			closing := c.life.sealed && c.life.state != gone
			flush := o.flush
			o.writing, o.flush = false, nil
			c.mu.Unlock()
			flush.done()
			if closing {
				w.close()
			}
			return
		}
		bytes := o.queued
		runs := o.take(math.MaxInt)
		c.mu.Unlock()

		buffers := make(net.Buffers, len(runs))
		for i, r := range runs {
			buffers[i] = r.frames
		}
		_, err := w.out.WriteBuffers(buffers)

		c.mu.Lock()
		o.written()
		o.queued -= bytes
		c.mu.Unlock()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.srv.disconnectSlow(c, "it takes nothing")
		case err != nil:
			c.CloseNow()
		}
		c.srv.opts.Observer.Out(len(runs), bytes)
	}
}

// close writes the last frame: ours, after which the client closes the connection, or
// the answer to the client's, after which we do.
func (w writer) close() {
	w.c.mu.Lock()
	frame := w.c.out.closing
	w.c.mu.Unlock()
	if frame == nil {
		w.out.Write(closeFrame)
	} else if _, err := w.out.Write(frame); err == nil {
		w.out.CloseWrite()
	}
}
