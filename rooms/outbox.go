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

// size is about what a packet takes while it waits, in bytes.
func (p batch) size() int {
	size := 64 + 16*len(p.to)
	for _, e := range p.events {
		for _, arg := range e.Args {
			size += len(arg) + 64
		}
	}
	return size
}

// maxOutbox bounds what waits for the fan-out, in bytes. Over it, a caller that
// adds more waits.
const maxOutbox = 16 << 20

// An outbox is what is to leave, in order, until the flush loop fans it out.
// Rooms.mu guards it.
type outbox struct {
	batches []batch
	size    int
	full    atomic.Bool   // size is over the bound; read without the lock
	room    chan struct{} // closed when there is room again
	running atomic.Bool   // the flush loop runs
	closed  bool          // nothing leaves any more

	// addedCount and sent count packets; added is read without the lock. progress is
	// closed when sent has risen.
	addedCount atomic.Uint64
	sentCount  uint64
	progress   chan struct{}
}

func newOutbox() outbox { return outbox{room: make(chan struct{}), progress: make(chan struct{})} }

// add queues a packet.
func (o *outbox) add(p batch) {
	if len(p.to) == 0 || o.closed {
		return
	}
	o.batches = append(o.batches, p)
	o.addedCount.Add(1)
	o.size += p.size()
	o.full.Store(o.size > maxOutbox)
}

// take is all that waits, which from here on has left.
func (o *outbox) take() []batch {
	packets := o.batches
	o.batches, o.size = nil, 0
	if o.full.Swap(false) {
		close(o.room)
		o.room = make(chan struct{})
	}
	return packets
}

// close lets go of what waits, and of those who wait for room.
func (o *outbox) close() {
	o.closed = true
	o.take()
	o.running.Store(false)
	close(o.progress)
	o.progress = make(chan struct{})
}

// fanOutQueued sends what take returned.
func (r *Rooms) fanOutQueued(packets []batch) {
	if len(packets) == 0 {
		return
	}
	r.fanOut(packets)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outbox.sentCount += uint64(len(packets))
	close(r.outbox.progress)
	r.outbox.progress = make(chan struct{})
}

// maxAckDelay is how long an acknowledgement waits at most.
const maxAckDelay = time.Second

// awaitSent returns when what was added to the outbox since then has been sent:
// clients may rely on getting the events that their own call caused before its
// acknowledgement. r.mu is not held.
func (r *Rooms) awaitSent(since uint64) {
	target := r.outbox.addedCount.Load()
	if target == since || !r.outbox.running.Load() {
		return
	}
	late := time.NewTimer(maxAckDelay)
	defer late.Stop()
	for {
		r.mu.Lock()
		progress, done := r.outbox.progress, r.outbox.sentCount >= target || r.outbox.closed
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-progress:
		case <-late.C:
			return
		}
	}
}

// awaitRoom returns when there is room in the outbox, or when nothing leaves any
// more. r.mu is not held.
func (r *Rooms) awaitRoom() {
	for r.outbox.full.Load() {
		r.mu.Lock()
		room, full := r.outbox.room, r.outbox.full.Load()
		r.mu.Unlock()
		if full {
			<-room
		}
	}
}
