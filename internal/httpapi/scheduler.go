package httpapi

import (
	"sync"
	"time"
)

// maxScheduled bounds the functions that wait in a Scheduler.
const maxScheduled = 10_000

// Scheduler calls functions after a delay. The zero value is ready to use; it is
// safe for concurrent use. Flush calls at once what waits, so that the end of the
// process loses nothing.
type Scheduler struct {
	// mu guards the fields below. No function is called under it.
	mu      sync.Mutex
	waiting map[*scheduled]struct{}
	flushed bool
}

type scheduled struct {
	timer *time.Timer
	f     func()
}

// Do calls f after a delay: at once if that is 0, if maxScheduled functions wait, and
// after Flush.
func (s *Scheduler) Do(after time.Duration, f func()) {
	s.mu.Lock()
	if after <= 0 || s.flushed || len(s.waiting) >= maxScheduled {
		s.mu.Unlock()
		f()
		return
	}
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = make(map[*scheduled]struct{})
	}
	one := &scheduled{f: f}
	s.waiting[one] = struct{}{}
	one.timer = time.AfterFunc(after, func() {
		if s.take(one) {
			f()
		}
	})
}

// take removes a function and reports whether it still waited.
func (s *Scheduler) take(one *scheduled) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waits := s.waiting[one]
	delete(s.waiting, one)
	return waits
}

// Flush calls every function that waits, and makes Do call further ones at once.
func (s *Scheduler) Flush() {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting, s.flushed = nil, true
	s.mu.Unlock()
	for one := range waiting {
		one.timer.Stop()
		one.f()
	}
}
