package main

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in buckets that are 1/16 of their octave wide:
// a quantile is at most 6 % too large. Safe for concurrent use.
type histogram struct {
	buckets [64 * steps]atomic.Int64
}

const (
	stepBits = 4
	steps    = 1 << stepBits
)

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < steps {
		return int(n)
	}
	octave := bits.Len64(n) - stepBits - 1
	return (octave+1)*steps + int(n>>octave) - steps
}

// bucketEnd is the largest duration of a bucket.
func bucketEnd(i int) time.Duration {
	if i < steps {
		return time.Duration(i)
	}
	octave, step := i/steps-1, i%steps
	return time.Duration(uint64(steps+step+1)<<octave - 1)
}

func (h *histogram) add(d time.Duration) { h.buckets[bucketOf(d)].Add(1) }

func (h *histogram) count() (n int64) {
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// quantile is the duration that a share q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	left := int64(math.Ceil(q * float64(h.count())))
	for i := range h.buckets {
		if left -= h.buckets[i].Load(); left <= 0 {
			return bucketEnd(i)
		}
	}
	return 0
}
