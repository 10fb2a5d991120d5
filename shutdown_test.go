package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is every part of the program, and none of them ends.
type stuck struct {
	gate    chan struct{}
	stopped bool
}

func (s *stuck) Flush() { <-s.gate }

func (s *stuck) HandOver() {}

func (s *stuck) Stop(ctx context.Context, _ time.Duration) {
	<-ctx.Done() // as promised
	s.stopped = true
}

func (s *stuck) Close(context.Context) error {
	<-s.gate
	return nil
}

// A shutdown keeps its time, whatever is stuck.
func TestShutdownIsBounded(t *testing.T) {
	for _, timeout := range []time.Duration{100 * time.Millisecond, 10 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			parts := &stuck{gate: make(chan struct{})}
			var background sync.WaitGroup
			background.Go(func() { <-parts.gate })
			began := time.Now()
			shutdown{
				timeout: timeout, log: slog.New(slog.DiscardHandler),
				later: parts, hall: parts, sockets: parts, server: &http.Server{}, stopRest: func() {},
				background: &background, store: parts,
			}.run()
			if took := time.Since(began); took > timeout || !parts.stopped {
				t.Errorf("it takes %v of %v", took, timeout)
			}
			close(parts.gate)
		})
	}
}
