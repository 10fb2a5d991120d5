// Package retry spaces repeated attempts at something that failed.
package retry

import (
	"context"
	"time"
)

// Backoff gives the pauses between attempts: First, then twice the one before,
// and never more than Max. It is for one goroutine.
type Backoff struct {
	First, Max time.Duration
	next       time.Duration
}

// Next is the pause before the next attempt.
func (b *Backoff) Next() time.Duration {
	b.next = min(max(b.First, 2*b.next), b.Max)
	return b.next
}

// AtMax reports whether the last pause was the longest.
func (b *Backoff) AtMax() bool { return b.next == b.Max }

// Reset begins with First again, after an attempt that succeeded.
func (b *Backoff) Reset() { b.next = 0 }

// Wait pauses for Next, or until ctx ends.
func (b *Backoff) Wait(ctx context.Context) { Sleep(ctx, b.Next()) }

// Sleep waits for d, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
