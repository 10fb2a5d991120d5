package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// shutdown is the end of the program: in order, and within a time that no client,
// no Redis and no fault of ours can extend. Each step has a part of it, so that
// one that takes long leaves time for the next.
type shutdown struct {
	timeout time.Duration
	log     *slog.Logger

	later   interface{ Flush() }
	hall    interface{ HandOver() }
	sockets interface {
		Stop(context.Context, time.Duration)
	}
	server     *http.Server
	stopRest   context.CancelFunc // ends what background waits for
	background *sync.WaitGroup
	store      interface{ Close(context.Context) error }
}

func (s shutdown) run() {
	deadline, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	// part ends after a share of the whole, in tenths, and after a time at most.
	began := time.Now()
	part := func(tenths int, most time.Duration) (context.Context, context.CancelFunc) {
		end := min(time.Since(began)+most, s.timeout*time.Duration(tenths)/10)
		return context.WithDeadline(deadline, began.Add(end))
	}

	promised, cancel := part(1, s.timeout)
	defer cancel()
	within(promised, s.later.Flush)

	// Sessions first: polling requests end with them, and the server waits for those.
	s.hall.HandOver()
	closing, cancel := part(6, s.timeout)
	defer cancel()
	s.sockets.Stop(closing, min(comeBack, s.timeout/3))

	finishing, cancel := part(8, finish)
	defer cancel()
	if s.server.Shutdown(finishing) != nil {
		s.server.Close()
	}

	s.stopRest()
	resting, cancel := part(9, s.timeout)
	defer cancel()
	if !within(resting, s.background.Wait) {
		s.log.Warn("something goes on in the background and is cut off")
	}

	telling, cancel := part(10, handOver)
	defer cancel()
	closed := make(chan error, 1)
	err := context.DeadlineExceeded
	if within(telling, func() { closed <- s.store.Close(telling) }) {
		err = <-closed
	}
	if err != nil {
		s.log.Warn("the others have to find out by themselves that this instance is gone", "error", err)
	}
}

// within does something, and reports whether it was done before ctx ended. If not,
// it is left to itself.
func within(ctx context.Context, do func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
