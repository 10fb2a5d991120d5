package socketio

import (
	"encoding/json"
	"runtime"
	"strconv"
	"sync"
	"time"

	"rollcall/internal/engineio"
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

// Fanout implements rooms.Sender. The same bytes go to every receiver, written here
// and now to those that are idle. If a socket cannot take all bytes at once, a writer
// goroutine continues; Fanout waits for those up to SettleTimeout. A client that is
// still busy with an earlier flush is slow by itself and must not slow the others.
func (s *Server) Fanout(deliveries []rooms.Delivery) time.Duration {
	start := time.Now()
	flush := engineio.NewFlush()
	for _, d := range deliveries {
		run := engineio.Shared(d.Frames)
		eachCore(d.To, func(c rooms.Conn) { c.(*session).out.Write(run, flush) })
	}
	flush.Wait(s.opts.SettleTimeout)
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

// appendEvent appends an EVENT packet of the main namespace as one frame.
func appendEvent(b []byte, e rooms.Event) []byte {
	name, _ := json.Marshal(e.Name) // a string always marshals
	parts := make([][]byte, 0, 3+2*len(e.Args))
	parts = append(parts, []byte(`42[`), name)
	for _, arg := range e.Args {
		parts = append(parts, []byte{','}, arg)
	}
	return engineio.AppendText(b, append(parts, []byte{']'})...)
}

// ackFrame is an ACK packet with one argument, a complete JSON value.
func ackFrame(id uint64, arg []byte) []byte {
	head := strconv.AppendUint([]byte("43"), id, 10)
	return engineio.AppendText(nil, head, []byte{'['}, arg, []byte{']'})
}
