package wire

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"rollcall/rooms"
)

const (
	// stopPatience is how long Stop waits for clients to take their goodbye.
	// Those that are there answer at once, or poll again at once.
	stopPatience = time.Second
	// stopRest is how long Stop goes on when ctx has ended: cutting off waits for
	// nobody, unless the handler is stuck.
	stopRest = 100 * time.Millisecond
	// stopPause is the longest time between two closes: few do not take long.
	stopPause = 2 * time.Millisecond
)

// Stop lets nobody in any more and closes all, one after the other, spread over
// a time at most, so that they do not all come back at once; each client is told
// when (server_closing {in}, milliseconds). Clients that have not answered within
// a second of the last close are cut off. Clients see a closed transport, not a
// disconnect, and so connect again elsewhere. When it returns all are gone, unless
// the handler, which is told of each end, takes longer than ctx: then Stop does not
// wait for it.
func (s *Server) Stop(ctx context.Context, spread time.Duration) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop(ctx, spread)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		wait(stopped, stopRest)
	}
}

// stop is Stop, but waits for the handler.
func (s *Server) stop(ctx context.Context, spread time.Duration) {
	s.mu.Lock()
	s.stopping = true
	links := slices.Collect(maps.Values(s.links)) // in no order
	s.mu.Unlock()
	spread = min(spread, stopPause*time.Duration(len(links)))
	began := time.Now()
	// turn is when the i-th is closed.
	turn := func(i int) time.Duration { return spread * time.Duration(i) / time.Duration(len(links)) }
	if spread > 0 {
		for i, l := range links {
			l.session.Load().Send(closingIn(turn(i)))
		}
	}
	for i, l := range links {
		wait(ctx.Done(), turn(i)-time.Since(began))
		l.close()
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	for _, l := range links {
		select {
		case <-l.over:
		case <-ctx.Done():
			l.drop()
		}
		<-l.done
	}
	s.heartbeat.stop()
}

// closingIn tells a client when it will be closed.
func closingIn(d time.Duration) rooms.Frames {
	in := encode(map[string]int64{"in": d.Milliseconds()})
	return appendEvent(nil, rooms.Event{Name: "server_closing", Args: []json.RawMessage{in}})
}
