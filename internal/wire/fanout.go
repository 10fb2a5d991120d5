package wire

import (
	"sync/atomic"
	"time"

	"rollcall/rooms"
)

// Encode implements rooms.Sender: all events in one run of frames.
func (s *Server) Encode(events ...rooms.Event) rooms.Frames {
	size := 0
	for _, e := range events {
		size += len(e.Name) + 24
		for _, arg := range e.Args {
			size += len(arg) + 1
		}
	}
	b := make([]byte, 0, size)
	for _, e := range events {
		b = appendEvent(b, e)
	}
	return b
}

// Fanout implements rooms.Sender. The same bytes are queued to every receiver.
// What it waits for are the sockets that were idle: one that was still busy
// with an earlier flush is slow by itself and must not slow the others.
func (s *Server) Fanout(deliveries []rooms.Delivery) time.Duration {
	start := time.Now()
	settled := newSettlement()
	for _, d := range deliveries {
		for _, c := range d.To {
			c.(*session).send(d.Frames, settled)
		}
	}
	settled.done() // its own hold
	timer := time.NewTimer(s.opts.SettleTimeout)
	defer timer.Stop()
	select {
	case <-settled.all:
	case <-timer.C:
	}
	return time.Since(start)
}

// settlement waits for a number of writers.
type settlement struct {
	left atomic.Int64
	all  chan struct{} // closed when none is left
}

func newSettlement() *settlement {
	s := &settlement{all: make(chan struct{})}
	s.left.Store(1)
	return s
}

func (s *settlement) add() { s.left.Add(1) }

func (s *settlement) done() {
	if s.left.Add(-1) == 0 {
		close(s.all)
	}
}
