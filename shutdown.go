package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// shutdown ends the parts of the program in order. It takes no longer than timeout,
// whatever clients, Redis or a fault of the program do: each step ends at a share of
// the timeout, so that a slow one leaves time for the next.
type shutdown struct {
	timeout time.Duration
	log     *slog.Logger

	signOuts interface{ Flush() }
	service  interface{ HandOver() }
	sockets  interface {
		Stop(context.Context, time.Duration)
	}
	server interface {
		Shutdown(context.Context) error
		Close() error
	}
	stopBackground context.CancelFunc
	background     *sync.WaitGroup
	store          interface{ Close(context.Context) error }
}

func (s shutdown) run() {
	deadline, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	began := time.Now()
	// step returns the context of a step, which ends when so many tenths of the whole
	// timeout are over, and after most.
	step := func(tenths int, most time.Duration) (context.Context, context.CancelFunc) {
		end := min(time.Since(began)+most, s.timeout*time.Duration(tenths)/10)
		return context.WithDeadline(deadline, began.Add(end))
	}

	flushCtx, cancel := step(1, s.timeout)
	defer cancel()
	within(flushCtx, s.signOuts.Flush)

	// Sessions end before the server, which waits for polling requests.
	s.service.HandOver()
	stopCtx, cancel := step(6, s.timeout)
	defer cancel()
	s.sockets.Stop(stopCtx, min(closeSpread, s.timeout/3))

	drainCtx, cancel := step(8, drainTimeout)
	defer cancel()
	if s.server.Shutdown(drainCtx) != nil {
		s.server.Close()
	}

	s.stopBackground()
	backgroundCtx, cancel := step(9, s.timeout)
	defer cancel()
	if !within(backgroundCtx, s.background.Wait) {
		s.log.Warn("background work did not end in time and was cut off")
	}

	closeCtx, cancel := step(10, handOverTimeout)
	defer cancel()
	closed := make(chan error, 1)
	err := context.DeadlineExceeded
	if within(closeCtx, func() { closed <- s.store.Close(closeCtx) }) {
		err = <-closed
	}
	if err != nil {
		s.log.Warn("could not tell the other instances that this one ends: they will notice", "error", err)
	}
}

// within calls do on a goroutine of its own and reports whether it returned before
// ctx ended. If not, the goroutine goes on until the process ends.
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
