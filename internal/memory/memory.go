// Package memory finds the memory limit of the process (Limit) and bounds what is being
// received from all clients together (Budget).
package memory

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sync/semaphore"
)

// assumed is the limit if none is set.
const assumed = 512 << 20

// unlimited is the least value that stands for no limit in a control group.
const unlimited = 1 << 60

// Limit is how much memory the process may use, in bytes. It does not change while
// the process runs.
type Limit struct {
	Bytes  int64
	Source Source
}

// Source is what set a limit.
type Source string

const (
	FromGo        Source = "GOMEMLIMIT"
	FromContainer Source = "container" // its control group
	Assumed       Source = "assumed"   // none is set: 512 MiB
)

// Detect returns Go's limit (GOMEMLIMIT), else the container's, else the assumed one.
var Detect = sync.OnceValue(func() Limit {
	return choose(debug.SetMemoryLimit(-1), memlimit.FromCgroup)
})

// choose returns Go's limit, which is MaxInt64 if none is set, else the control
// group's.
func choose(goLimit int64, cgroup func() (uint64, error)) Limit {
	if goLimit != math.MaxInt64 {
		return Limit{goLimit, FromGo}
	}
	if limit, err := cgroup(); err == nil && limit > 0 && limit < unlimited {
		return Limit{int64(limit), FromContainer}
	}
	return Limit{assumed, Assumed}
}

// Collector is the limit for Go's garbage collector, 0 for none. It is nine tenths of a
// container's, since Go does not count the program itself and what the kernel holds for
// the process. An assumed limit does not apply: the machine may have less or more.
func (l Limit) Collector() int64 {
	switch l.Source {
	case FromGo:
		return l.Bytes
	case FromContainer:
		return l.Bytes / 10 * 9
	}
	return 0
}

// Apply sets the limit of Go's garbage collector to that of the container.
func (l Limit) Apply() {
	if l.Source == FromContainer {
		debug.SetMemoryLimit(l.Collector())
	}
}

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
			return cmp.Or(ctx.Err(), ErrFull)
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

// A body must make progress: at least stallBytes in every stallTime, except at its end.
// So a client that stops holds its part of the budget for no longer than that.
const (
	stallTime  = 5 * time.Second
	stallBytes = 1 << 10
)

// ReadBody reads a request's body of at most max bytes within a time. Call the returned
// function when the body is not used any more. Errors are *http.MaxBytesError, ErrFull,
// or the connection's.
func (b *Budget) ReadBody(w http.ResponseWriter, r *http.Request, max int64, within time.Duration) ([]byte, func(), error) {
	body := http.MaxBytesReader(w, r.Body, max)
	deadline := http.NewResponseController(w).SetReadDeadline
	return b.ReadWithin(r.Context(), body, min(r.ContentLength, max), within, deadline)
}

// ReadWithin is ReadAll for a connection: within a time, and with progress. Deadline
// sets the connection's read deadline, which ReadWithin removes after a success.
func (b *Budget) ReadWithin(ctx context.Context, r io.Reader, expected int64, within time.Duration, deadline func(time.Time) error) ([]byte, func(), error) {
	now := time.Now()
	data, release, err := b.ReadAll(ctx, &timed{r: r, deadline: deadline, end: now.Add(within), since: now}, expected)
	switch err {
	case nil:
		_ = deadline(time.Time{})
	case ErrFull: // net/http reads the rest and drops it
		_ = deadline(time.Now().Add(reserveTimeout))
	}
	return data, release, err
}

// timed sets the connection's read deadline before each read. A test's recorder has
// none.
type timed struct {
	r        io.Reader
	deadline func(time.Time) error
	end      time.Time // of the whole read
	since    time.Time // when the current stallBytes began
	came     int       // bytes since then
}

func (t *timed) Read(p []byte) (int, error) {
	next := t.since.Add(stallTime)
	if t.end.Before(next) {
		next = t.end
	}
	_ = t.deadline(next)
	n, err := t.r.Read(p)
	if t.came += n; t.came >= stallBytes {
		t.came, t.since = 0, time.Now()
	}
	return n, err
}
