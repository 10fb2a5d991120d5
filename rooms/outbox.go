package rooms

import "sync/atomic"

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

// maxOutbox bounds what waits for the fan-out, in bytes. Over it, whoever makes
// more waits.
const maxOutbox = 16 << 20

// An outbox is what is to leave, in order, until the flush loop fans it out.
// Rooms.mu guards it.
type outbox struct {
	packets []packet
	size    int
	full    atomic.Bool   // size is over the bound; read without the lock
	room    chan struct{} // closed when there is room again
	ended   bool          // nothing leaves any more
}

func newOutbox() outbox { return outbox{room: make(chan struct{})} }

// add queues a packet.
func (o *outbox) add(p packet) {
	if len(p.to) == 0 || o.ended {
		return
	}
	o.packets = append(o.packets, p)
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
