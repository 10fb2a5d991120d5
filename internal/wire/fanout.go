package wire

import (
	"runtime"
	"sync"
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

// Fanout implements rooms.Sender. The same bytes go to every receiver, written
// here and now to those who are idle. Whose socket does not take them all at
// once gets a writer of its own; these are waited for, for a while. One that is
// still busy with an earlier flush is slow by itself and must not slow the others.
func (s *Server) Fanout(deliveries []rooms.Delivery) time.Duration {
	start := time.Now()
	settled := newSettlement()
	for _, d := range deliveries {
		frames := run{d.Frames, &shared{size: len(d.Frames)}}
		eachCore(d.To, func(c rooms.Conn) { c.(*session).push(frames, settled) })
	}
	settled.done() // its own hold
	wait(settled.all, s.opts.SettleTimeout)
	return time.Since(start)
}

// fewConns is how many are not worth being shared out: a write takes some 10 µs,
// starting a goroutine one.
const fewConns = 16

// eachCore does something for each, shared out among the cores, and waits.
func eachCore(conns []rooms.Conn, do func(rooms.Conn)) {
	shares := min(runtime.GOMAXPROCS(0), 1+len(conns)/fewConns)
	var working sync.WaitGroup
	work := func(share []rooms.Conn) {
		for _, c := range share {
			do(c)
		}
	}
	for i := range shares - 1 {
		working.Go(func() { work(conns[i*len(conns)/shares : (i+1)*len(conns)/shares]) })
	}
	work(conns[(shares-1)*len(conns)/shares:])
	working.Wait()
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
