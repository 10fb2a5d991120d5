package rooms

import (
	"sync/atomic"
	"time"
)

// A packet is events for the sockets that get them.
type packet struct {
	events []Event
	to     []Conn
}

// cost is about what a packet takes while it waits, in bytes.
func (p packet) cost() int {
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
	packets []packet
	size    int
	full    atomic.Bool   // size is over the bound; read without the lock
	room    chan struct{} // closed when there is room again
	running atomic.Bool   // the flush loop runs
	ended   bool          // nothing leaves any more

	// added and sent count packets; added is read without the lock. progress is
	// closed when sent has risen.
	added    atomic.Uint64
	sent     uint64
	progress chan struct{}
}

func newOutbox() outbox { return outbox{room: make(chan struct{}), progress: make(chan struct{})} }

// add queues a packet.
func (o *outbox) add(p packet) {
	if len(p.to) == 0 || o.ended {
		return
	}
	o.packets = append(o.packets, p)
	o.added.Add(1)
	o.size += p.cost()
	o.full.Store(o.size > maxOutbox)
}

// take is all that waits, which from here on has left.
func (o *outbox) take() []packet {
	packets := o.packets
	o.packets, o.size = nil, 0
	if o.full.Swap(false) {
		close(o.room)
		o.room = make(chan struct{})
	}
	return packets
}

// end lets go of what waits, and of those who wait for room.
func (o *outbox) end() {
	o.ended = true
	o.take()
	o.running.Store(false)
	close(o.progress)
	o.progress = make(chan struct{})
}

// sendQueued sends what take returned.
func (r *Rooms) sendQueued(packets []packet) {
	if len(packets) == 0 {
		return
	}
	r.send(packets)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outbox.sent += uint64(len(packets))
	close(r.outbox.progress)
	r.outbox.progress = make(chan struct{})
}

// maxAckDelay is how long an acknowledgement waits at most.
const maxAckDelay = time.Second

// awaitSent returns when what was added to the outbox since then has been sent:
// clients may rely on getting the events that their own call caused before its
// acknowledgement. r.mu is not held.
func (r *Rooms) awaitSent(since uint64) {
	target := r.outbox.added.Load()
	if target == since || !r.outbox.running.Load() {
		return
	}
	late := time.NewTimer(maxAckDelay)
	defer late.Stop()
	for {
		r.mu.Lock()
		progress, done := r.outbox.progress, r.outbox.sent >= target || r.outbox.ended
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
