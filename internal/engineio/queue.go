package engineio

import (
	"sync/atomic"
	"time"
)

// A Run is frames that are queued and written together.
type Run struct {
	frames []byte
	shared *shared // nil: they are in one queue alone
}

type run = Run

// shared counts the queues that hold the same frames, which are in memory once
// however many receivers there are.
type shared struct {
	size   int
	queues atomic.Int64
}

// NewRun makes a run of frames that one connection sends.
func NewRun(frames []byte) Run { return Run{frames: frames} }

// Shared makes a run of frames that many connections send. They must not change.
func Shared(frames []byte) Run { return Run{frames, &shared{size: len(frames)}} }

// cost is what a run counts against its connection's bound.
func (r Run) cost() int { return len(r.frames) + frameCost }

// frameCost is what any frame costs beside its bytes, about, in bytes.
const frameCost = 64

// outbox is what waits to be sent to one client. Its Conn's mu guards it.
type outbox struct {
	account  *account
	waiting  atomic.Int64 // bytes in all that follows; read without mu
	queue    []run        // not yet taken by a transport
	held     []heldRun    // not yet released by the session
	inflight []run        // being written
	queued   int          // bytes in queue, and over WebSocket being written
}

// heldRun is a run that by's Release queues.
type heldRun struct {
	by any
	run
}

// A Flush waits for the writers of connections that could not write at once. The
// zero value is not usable.
type Flush struct {
	left atomic.Int64
	all  chan struct{} // closed when none is left
}

// NewFlush makes a flush, which ends with done.
func NewFlush() *Flush {
	f := &Flush{all: make(chan struct{})}
	f.left.Store(1)
	return f
}

func (f *Flush) add() { f.left.Add(1) }

func (f *Flush) done() {
	if f.left.Add(-1) == 0 {
		close(f.all)
	}
}

// Wait returns when all has been written that Conn.Write was given, or after
// timeout. Nothing is added after it.
func (f *Flush) Wait(timeout time.Duration) {
	f.done() // its own part
	wait(f.all, timeout)
}

// Send queues frames behind everything queued before; a goroutine of the
// connection's writes them. A client whose queue is over MaxQueue is disconnected.
func (c *Conn) Send(frames []byte) { c.enqueue(Run{frames: frames}, nil) }

// SendRun is Send for a run.
func (c *Conn) SendRun(r Run) { c.enqueue(r, nil) }

// enqueue is Send. If the connection was idle, f is told when the run has been
// written.
func (c *Conn) enqueue(r run, f *Flush) {
	c.mu.Lock()
	if c.sealed {
		c.mu.Unlock()
		return
	}
	// A single run may be larger than the bound: a list is.
	if c.queued > 0 && c.queued+r.cost() > c.srv.opts.MaxQueue {
		c.overflow()
		c.mu.Unlock()
		return
	}
	idle := c.queued == 0
	over := c.add(r)
	if c.deliver() && idle && f != nil {
		f.add()
		c.flush = f
	}
	c.mu.Unlock()
	if over {
		c.srv.makeRoom()
	}
}

// Write is Send, but writes to an idle WebSocket here and now, without waiting. What
// the socket does not take is left to a writer, for which f waits if it is not nil.
func (c *Conn) Write(r Run, f *Flush) {
	c.mu.Lock()
	if c.ws == nil || c.writing || c.queued > 0 || c.sealed {
		c.mu.Unlock()
		c.enqueue(r, f)
		return
	}
	c.writing, c.queued = true, r.cost()
	conn := c.ws
	c.mu.Unlock()

	n := writeNow(socketOf(conn), r.frames)

	c.mu.Lock()
	over := false
	switch {
	case c.state == gone, c.discarded:
	case n < len(r.frames):
		rest := Run{r.frames[n:], r.shared}
		c.queue = append([]run{rest}, c.queue...)
		c.queued -= n
		over = c.hold(rest)
		if f != nil {
			f.add()
			c.flush = f
		}
	default:
		c.queued -= r.cost()
	}
	if c.writing = len(c.queue) > 0 || c.sealed; c.writing {
		go c.write(conn)
	}
	c.mu.Unlock()
	if over {
		c.srv.makeRoom()
	}
	if n == len(r.frames) {
		c.srv.opts.Observer.Out(1, n+frameCost)
	}
}

// Hold keeps a run back until by releases it. It counts as queued.
func (c *Conn) Hold(by any, r Run) {
	c.mu.Lock()
	if c.sealed {
		c.mu.Unlock()
		return
	}
	if len(c.held) > 0 && c.waiting.Load()+int64(r.cost()) > int64(c.srv.opts.MaxQueue) {
		c.overflow()
		c.mu.Unlock()
		return
	}
	c.held = append(c.held, heldRun{by, r})
	over := c.hold(r)
	c.mu.Unlock()
	if over {
		c.srv.makeRoom()
	}
}

// Release queues what by held back.
func (c *Conn) Release(by any) { c.unhold(by, false) }

// Discard lets go of what by held back.
func (c *Conn) Discard(by any) { c.unhold(by, true) }

func (c *Conn) unhold(by any, discard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var others []heldRun
	released := false
	for _, h := range c.held {
		switch {
		case h.by != by:
			others = append(others, h)
		case discard || c.sealed:
			c.letGo(h.run)
		default:
			c.queued += h.cost()
			c.queue = append(c.queue, h.run)
			released = true
		}
	}
	c.held = others
	if released {
		c.deliver()
	}
}

// overflow disconnects a client whose queue is too long. c.mu is held.
func (c *Conn) overflow() {
	c.sealed = true
	go c.disconnectSlow("its queue is too long") // the sender may hold a lock
}

// deliver sees that what is queued leaves, by a writer or by the poll that
// waits, and reports whether it started a writer. c.mu is held, so the writer
// finds all that its starter does under it.
func (c *Conn) deliver() (started bool) {
	switch {
	case c.ws == nil:
		c.wakePoll()
	case !c.writing:
		c.writing = true
		go c.write(c.ws)
		return true
	}
	return false
}

// wakePoll lets the waiting poll take what there is. c.mu is held.
func (c *Conn) wakePoll() {
	if c.poll != nil {
		close(c.poll)
		c.poll = nil
	}
}

// add puts a run into the queue, and reports whether all queues are too long then.
// c.mu is held.
func (o *outbox) add(r run) (over bool) {
	o.queue = append(o.queue, r)
	o.queued += r.cost()
	return o.hold(r)
}

// takeRuns moves runs from the queue to those that are being written: all, or as many
// as fit into so many bytes, but at least one. c.mu is held.
func (o *outbox) takeRuns(most int) []run {
	n, size := 0, 0
	for n < len(o.queue) && (n == 0 || size+o.queue[n].cost() <= most) {
		size += o.queue[n].cost()
		n++
	}
	taken := o.queue[:n:n]
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
	o.inflight = append(o.inflight, taken...)
	return taken
}

// written lets go of what was being written. c.mu is held.
func (o *outbox) written() {
	o.letGo(o.inflight...)
	o.inflight = nil
}

// empty lets go of all that waits or is being written. c.mu is held.
func (o *outbox) empty() {
	o.letGo(o.queue...)
	for _, h := range o.held {
		o.letGo(h.run)
	}
	o.written()
	o.queue, o.held = nil, nil
}
