package main

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stuck stands for every part of the program, none of which ends.
type stuck struct {
	gate            chan struct{}
	stopped, closed bool
}

func (s *stuck) Flush() { <-s.gate }

func (s *stuck) HandOver() {}

func (s *stuck) Stop(ctx context.Context, _ time.Duration) {
	<-ctx.Done() // as promised
	s.stopped = true
}

// stuckServer has a request whose handler does not end.
type stuckServer struct{ *stuck }

func (s stuckServer) Shutdown(ctx context.Context) error {
	<-ctx.Done() // as http.Server promises
	return ctx.Err()
}

func (s stuckServer) Close() error {
	s.closed = true
	return nil
}

// stuckStore does not keep to its context.
type stuckStore struct{ *stuck }

func (s stuckStore) Close(context.Context) error {
	<-s.gate
	return nil
}

// A shutdown ends within its timeout, whatever is stuck.
func TestShutdownIsBounded(t *testing.T) {
	for _, timeout := range []time.Duration{100 * time.Millisecond, 10 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			parts := &stuck{gate: make(chan struct{})}
			var background sync.WaitGroup
			background.Go(func() { <-parts.gate })
			began := time.Now()
			shutdown{
				timeout: timeout, log: slog.New(slog.DiscardHandler), signOuts: parts, service: parts, sockets: parts,
				server: stuckServer{parts}, stopBackground: func() {}, background: &background, store: stuckStore{parts},
			}.run()
			if took := time.Since(began); took > timeout || !parts.stopped || !parts.closed {
				t.Errorf("it takes %v of %v; sockets stopped: %t, server closed: %t", took, timeout, parts.stopped, parts.closed)
			}
			close(parts.gate)
		})
	}
}
