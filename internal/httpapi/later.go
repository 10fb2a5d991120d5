package httpapi

import (
	"sync"
	"time"
)

// maxLater is how many sign-outs may wait for their time.
const maxLater = 10_000

// Later does things a moment later. The zero value is ready to use; it is safe
// for concurrent use. Flush does at once what waits, so that an end of the
// process loses nothing.
type Later struct {
	// mu guards the fields below. Nothing is done under it.
	mu      sync.Mutex
	waiting map[int]delayed
	last    int // number given out
	flushed bool
}

type delayed struct {
	timer *time.Timer
	f     func()
}

// Do calls f after a pause: at once without one, when too much waits, or after
// Flush.
func (l *Later) Do(after time.Duration, f func()) {
	l.mu.Lock()
	if after <= 0 || l.flushed || len(l.waiting) >= maxLater {
		l.mu.Unlock()
		f()
		return
	}
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = make(map[int]delayed)
	}
	l.last++
	n := l.last
	timer := time.AfterFunc(after, func() {
		if l.take(n) {
			f()
		}
	})
	l.waiting[n] = delayed{timer, f}
}

// take reports whether something is still to be done, and forgets it.
func (l *Later) take(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, waits := l.waiting[n]
	delete(l.waiting, n)
	return waits
}

// Flush does everything that waits now, and from then on everything at once.
func (l *Later) Flush() {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting, l.flushed = nil, true
	l.mu.Unlock()
	for _, one := range waiting {
		one.timer.Stop()
		one.f()
	}
}
