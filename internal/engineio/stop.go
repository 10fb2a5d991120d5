package engineio

import (
	"context"
	"maps"
	"slices"
	"time"
)

const (
	// stopTimeout is how long Stop waits for clients to take their close. Those that
	// are there answer at once, or poll again at once.
	stopTimeout = time.Second
	// stopGrace is how long Stop goes on when ctx has ended: closing waits for nobody,
	// unless a session is stuck.
	stopGrace = 100 * time.Millisecond
	// stopPause is the longest time between two closes: few do not take long.
	stopPause = 2 * time.Millisecond
)

// Stop rejects new connections and closes the existing ones, one after the other,
// spread over a time at most, so that they do not all come back at once. With a
// spread it calls announce, if not nil, for each one before, with the time until it
// is closed. Connections that are not over a second after the last close are dropped.
// When it returns all are over, unless a session, which is told of each end, takes
// longer than ctx: then Stop does not wait for it.
func (s *Server) Stop(ctx context.Context, spread time.Duration, announce func(Session, time.Duration)) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop(ctx, spread, announce)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		wait(stopped, stopGrace)
	}
}

// stop is Stop, but waits for the sessions.
func (s *Server) stop(ctx context.Context, spread time.Duration, announce func(Session, time.Duration)) {
	s.mu.Lock()
	s.stopping = true
	conns := slices.Collect(maps.Values(s.conns)) // in no order
	s.mu.Unlock()
	spread = min(spread, stopPause*time.Duration(len(conns)))
	began := time.Now()
	// closeAt is when the i-th is closed.
	closeAt := func(i int) time.Duration { return spread * time.Duration(i) / time.Duration(len(conns)) }
	if spread > 0 && announce != nil {
		for i, c := range conns {
			announce(c.session, closeAt(i))
		}
	}
	for i, c := range conns {
		wait(ctx.Done(), closeAt(i)-time.Since(began))
		c.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for _, c := range conns {
		select {
		case <-c.over:
		case <-ctx.Done():
			c.CloseNow()
		}
		<-c.told
	}
}
