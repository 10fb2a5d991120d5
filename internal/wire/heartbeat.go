package wire

import (
	"container/list"
	"sync"
	"time"

	"rollcall/rooms"
)

// heartbeat notices clients that are gone without a word: in protocol 4 it asks
// them now and then and waits for the answer, in protocol 3 they ask. It has one
// timer for all links, which runs while there are any.
type heartbeat struct {
	// grain is the least time from one look to the next: what falls due within it
	// is done in one go. It is short: pings go out as spread as their clients came.
	grain time.Duration

	mu      sync.Mutex // guards all below, and the links' beats
	timer   *time.Timer
	next    time.Time // when it rings; zero: it does not
	stopped bool
	resting vigil // until the next ping
	asked   vigil // until the answer is late
	silent  vigil // until a client that pings by itself is late
}

// A vigil is links that all wait equally long, in the order in which they fall
// due, which is that in which they came.
type vigil struct {
	length time.Duration
	links  list.List // of *link
}

// beat is what a link waits for.
type beat struct {
	vigil *vigil // nil: it has ended
	place *list.Element
	due   time.Time
}

func newHeartbeat(o Options) *heartbeat {
	h := &heartbeat{grain: min(o.PingInterval, o.PingTimeout) / 1000}
	h.resting.length = o.PingInterval
	h.asked.length = o.PingTimeout
	h.silent.length = o.PingInterval + o.PingTimeout
	return h
}

// begin takes a new link in.
func (h *heartbeat) begin(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.protocol == 3 {
		h.await(l, &h.silent, time.Now())
	} else {
		h.await(l, &h.resting, time.Now())
	}
}

// heard begins anew with a link whose client has shown that it is there.
func (h *heartbeat) heard(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch l.beat.vigil {
	case nil:
	case &h.silent:
		h.await(l, &h.silent, time.Now())
	default:
		h.await(l, &h.resting, time.Now())
	}
}

// forget lets a link go.
func (h *heartbeat) forget(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(l)
}

// stop ends it, when all links have ended.
func (h *heartbeat) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	if h.timer != nil {
		h.timer.Stop()
	}
}

// await makes a link wait. h.mu is held.
func (h *heartbeat) await(l *link, v *vigil, now time.Time) {
	h.remove(l)
	l.beat = beat{v, v.links.PushBack(l), now.Add(v.length)}
	h.wake(l.beat.due, now)
}

// remove takes a link out. h.mu is held.
func (h *heartbeat) remove(l *link) {
	if l.beat.vigil != nil {
		l.beat.vigil.links.Remove(l.beat.place)
		l.beat = beat{}
	}
}

// wake sees that there is a look when something is due. h.mu is held.
func (h *heartbeat) wake(due, now time.Time) {
	if h.stopped || !h.next.IsZero() && !due.Before(h.next) {
		return
	}
	in := max(due.Sub(now), h.grain)
	h.next = now.Add(in)
	if h.timer == nil {
		h.timer = time.AfterFunc(in, h.look)
	} else {
		h.timer.Reset(in)
	}
}

// look does what is due.
func (h *heartbeat) look() {
	h.mu.Lock()
	now := time.Now()
	var ask, late []*link
	for l := range h.resting.due(now) {
		ask = append(ask, l)
		h.await(l, &h.asked, now)
	}
	for _, v := range []*vigil{&h.asked, &h.silent} {
		for l := range v.due(now) {
			late = append(late, l)
			h.remove(l)
		}
	}
	h.next = time.Time{}
	for _, v := range []*vigil{&h.resting, &h.asked, &h.silent} {
		if first := v.links.Front(); first != nil {
			h.wake(first.Value.(*link).beat.due, now)
		}
	}
	h.mu.Unlock()
	for _, l := range ask {
		l.push(pingPacket, nil)
	}
	for _, l := range late { // the handler may take its time
		go l.fail(rooms.Timeout)
	}
}

// due yields the links that have waited long enough; each has to be taken out
// before the next.
func (v *vigil) due(now time.Time) func(yield func(*link) bool) {
	return func(yield func(*link) bool) {
		for first := v.links.Front(); first != nil; first = v.links.Front() {
			l := first.Value.(*link)
			if l.beat.due.After(now) || !yield(l) {
				return
			}
		}
	}
}

var (
	pingPacket = appendFrame(nil, opText, []byte{'2'})
	pongPacket = appendFrame(nil, opText, []byte{'3'})
)

// hear takes a ping or a pong. Whatever it carries is not looked at; one in the
// wrong direction is a fault.
func (l *link) hear(kind byte) {
	switch {
	case l.protocol == 3 && kind == '2':
		l.srv.heartbeat.heard(l)
		l.send(pongPacket, nil)
	case l.protocol == 4 && kind == '3':
		l.srv.heartbeat.heard(l)
	default:
		l.fail(rooms.Closed)
	}
}
