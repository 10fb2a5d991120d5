package rooms

import (
	"sync/atomic"
	"time"
)

// A batch is events for the sockets that get them.
type batch struct {
	events []Event
	to     []Conn
}

// size is about what a batch takes while it is queued, in bytes.
func (b batch) size() int {
	size := 64 + 16*len(b.to)
	for _, e := range b.events {
		for _, arg := range e.Args {
			size += len(arg) + 64
		}
	}
	return size
}

// maxOutbox bounds what is queued, in bytes. Over it, a caller that adds more waits.
const maxOutbox = 16 << 20

// An outbox has what is to leave at once, in order, until the flush loop fans it
// out, and wakes that loop. core.mu guards it, but for the atomic fields.
type outbox struct {
	batches []batch
	size    int         // of batches, in bytes
	full    atomic.Bool // size is over the bound
	running atomic.Bool // the flush loop runs
	closed  bool        // nothing leaves any more

	addedCount atomic.Uint64 // of batches
	sentCount  uint64
	progress   chan struct{} // closed when batches have been taken or sent

	wake  chan struct{} // wakes the flush loop
	woken bool          // it has been woken, and has not looked since
}

func newOutbox() outbox {
	return outbox{progress: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// wakeUp makes the flush loop look for what is due. It never blocks.
func (o *outbox) wakeUp() {
	if o.woken {
		return
	}
	o.woken = true
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// add queues a batch.
func (o *outbox) add(b batch) {
	if len(b.to) == 0 || o.closed {
		return
	}
	o.batches = append(o.batches, b)
	o.addedCount.Add(1)
	o.size += b.size()
	o.full.Store(o.size > maxOutbox)
	o.wakeUp()
}

// take returns all that is queued, and empties the outbox.
func (o *outbox) take() []batch {
	batches := o.batches
	o.batches, o.size = nil, 0
	if o.full.Swap(false) {
		o.sent(0)
	}
	return batches
}

// sent notes that batches which take returned have been fanned out.
func (o *outbox) sent(n int) {
	o.sentCount += uint64(n)
	close(o.progress)
	o.progress = make(chan struct{})
}

// close discards what is queued, and releases the callers that wait.
func (o *outbox) close() {
	o.closed = true
	o.take()
	o.running.Store(false)
	o.sent(0)
}

// maxAckDelay bounds how long an acknowledgement waits for the events before it.
const maxAckDelay = time.Second

// awaitSent returns when everything that is in the outbox now has been fanned out. It
// takes the lock.
func (c *core) awaitSent() {
	target := c.outbox.addedCount.Load()
	if !c.outbox.running.Load() {
		return
	}
	timeout := time.NewTimer(maxAckDelay)
	defer timeout.Stop()
	c.await(func() bool { return c.outbox.sentCount >= target }, timeout.C)
}

// awaitRoom returns when the outbox is not over its bound. It takes the lock.
func (c *core) awaitRoom() {
	if c.outbox.full.Load() {
		c.await(func() bool { return !c.outbox.full.Load() }, nil)
	}
}

// await returns when done is true, the outbox is closed or the time is over.
func (c *core) await(done func() bool, timeout <-chan time.Time) {
	for {
		c.mu.Lock()
		progress, over := c.outbox.progress, c.outbox.closed || done()
		c.mu.Unlock()
		if over {
			return
		}
		select {
		case <-progress:
		case <-timeout:
			return
		}
	}
}
