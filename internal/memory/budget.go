package memory

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// reserveTimeout is how long a reservation waits for others to end.
const reserveTimeout = time.Second

// ErrFull is returned if there was no room within reserveTimeout.
var ErrFull = errors.New("too much is being received at the moment")

// Budget bounds the bytes that many readers hold at the same time. Safe for
// concurrent use.
type Budget struct {
	limit int64
	free  *semaphore.Weighted
	used  atomic.Int64
}

// NewBudget makes a budget of so many bytes.
func NewBudget(limit int64) *Budget {
	return &Budget{limit: limit, free: semaphore.NewWeighted(limit)}
}

// Limit is the size of the budget in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Used is how many bytes are reserved now.
func (b *Budget) Used() int64 { return b.used.Load() }

// reserve takes n bytes, waiting for up to reserveTimeout. It returns ErrFull or the
// context's error.
func (b *Budget) reserve(ctx context.Context, n int64) error {
	if !b.free.TryAcquire(n) {
		waiting, cancel := context.WithTimeout(ctx, reserveTimeout)
		defer cancel()
		if b.free.Acquire(waiting, n) != nil {
			if err := ctx.Err(); err != nil {
				return err
			}
			return ErrFull
		}
	}
	b.used.Add(n)
	return nil
}

func (b *Budget) release(n int64) {
	b.used.Add(-n)
	b.free.Release(n)
}

// firstStep is how much a reader reserves before anything has arrived. It reserves the
// rest as it arrives, in steps that double, so that a client that announces a megabyte
// and sends nothing holds this much only.
const firstStep = 4 << 10

// ReadAll reads all of r. Call release when the bytes are not used any more. Expected
// is the number of bytes if it is known, else 0 or less. On an error, which is r's, the
// context's or ErrFull, nothing stays reserved.
func (b *Budget) ReadAll(ctx context.Context, r io.Reader, expected int64) (data []byte, release func(), err error) {
	held := int64(0)
	release = func() { b.release(held); held = 0 }
	for size := int64(firstStep); ; size = 2 * held {
		if expected >= held && expected > 0 && expected < 2*size {
			size = expected + 1 // one more, to read the end
		}
		if err := b.reserve(ctx, size); err != nil {
			release()
			return nil, nil, err
		}
		data = append(make([]byte, 0, size), data...)
		b.release(held)
		held = size
		for len(data) < cap(data) {
			n, err := r.Read(data[len(data):cap(data)])
			data = data[:len(data)+n]
			if err == io.EOF {
				return data, release, nil
			}
			if err != nil {
				release()
				return nil, nil, err
			}
		}
	}
}
