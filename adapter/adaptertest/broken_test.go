package adaptertest

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

// The stores of TestBrokenStoresFail: Memory with one fault each.

// faulty spoils what watchers are told.
type faulty struct {
	*adapter.Memory
	spoil func(f func(rooms.Change)) func(rooms.Change)
}

func (s faulty) Watch(f func(rooms.Change)) func() { return s.Memory.Watch(s.spoil(f)) }

// edit spoils each change alike.
func edit(change func(*rooms.Change)) func(func(rooms.Change)) func(rooms.Change) {
	return func(f func(rooms.Change)) func(rooms.Change) {
		return func(c rooms.Change) { change(&c); f(c) }
	}
}

// eachChange tells the n-th change of a watcher as it likes.
func eachChange(tell func(f func(rooms.Change), n int, c rooms.Change)) func(func(rooms.Change)) func(rooms.Change) {
	return func(f func(rooms.Change)) func(rooms.Change) {
		n := 0
		return func(c rooms.Change) { n++; tell(f, n, c) }
	}
}

// swap tells every socket's seventh step after its eighth.
func swap(f func(rooms.Change)) func(rooms.Change) {
	held := make(map[string]rooms.Change)
	return func(c rooms.Change) {
		before, ok := held[c.Entry.Key]
		switch {
		case string(c.Entry.Data) == `{"n":7}`:
			held[c.Entry.Key] = c
		case ok:
			delete(held, c.Entry.Key)
			f(c)
			f(before)
		default:
			f(c)
		}
	}
}

// late tells in order, but not before Put returns.
func late(f func(rooms.Change)) func(rooms.Change) {
	previous := make(chan struct{})
	close(previous)
	return func(c rooms.Change) {
		before, done := previous, make(chan struct{})
		previous = done
		go func() {
			<-before
			for range 100 {
				runtime.Gosched()
			}
			f(c)
			close(done)
		}()
	}
}

type tellsUnknown struct{ *adapter.Memory }

func (s tellsUnknown) Remove(place rooms.Place, reason rooms.Reason) {
	s.Put(rooms.Entry{Place: place})
	s.Memory.Remove(place, reason)
}

// coarseClock tells the time in steps, and ahead of it.
type coarseClock struct {
	*adapter.Memory
	step, ahead time.Duration
}

func (s coarseClock) Now() int64 {
	return time.UnixMicro(s.Memory.Now()).Add(s.ahead).Truncate(s.step).UnixMicro()
}

// snapshotFault spoils the snapshot alone; good enough while nothing changes.
type snapshotFault struct {
	*adapter.Memory
	spoil func([]rooms.Change) []rooms.Change
}

func (s snapshotFault) Watch(f func(rooms.Change)) func() {
	snapshot := snapshotOf(s.Memory)
	n := len(snapshot)
	for _, c := range s.spoil(snapshot) {
		f(c)
	}
	return watchAfter(s.Memory, n, f)
}

func snapshotOf(m *adapter.Memory) []rooms.Change {
	var snapshot []rooms.Change
	m.Watch(func(c rooms.Change) { snapshot = append(snapshot, c) })()
	return snapshot
}

// watchAfter leaves out the first n.
func watchAfter(m *adapter.Memory, n int, f func(rooms.Change)) func() {
	return m.Watch(func(c rooms.Change) {
		if n--; n < 0 {
			f(c)
		}
	})
}

// keepsRemoved has removed entries in its snapshots.
type keepsRemoved struct{ *adapter.Memory }

func (s keepsRemoved) Remove(place rooms.Place, reason rooms.Reason) {
	s.Memory.Remove(place, reason)
	s.Put(rooms.Entry{Place: place})
}

// gap takes a snapshot and starts watching a moment later.
type gap struct {
	*adapter.Memory
	puts atomic.Int64
}

func (s *gap) Put(e rooms.Entry, complete ...func(*rooms.Entry)) rooms.Entry {
	defer s.puts.Add(1)
	return s.Memory.Put(e, complete...)
}

func (s *gap) Watch(f func(rooms.Change)) func() {
	for _, c := range snapshotOf(s.Memory) {
		f(c)
	}
	from := s.puts.Load()
	for i := 0; i < 10_000 && s.puts.Load() < from+3; i++ {
		runtime.Gosched() // something may happen
	}
	var open atomic.Bool
	stop := s.Memory.Watch(func(c rooms.Change) {
		if open.Load() {
			f(c)
		}
	})
	open.Store(true)
	return stop
}

type neverStops struct{ *adapter.Memory }

func (s neverStops) Watch(f func(rooms.Change)) func() {
	s.Memory.Watch(f)
	return func() {}
}

// stopsAll stops every watcher with the first.
type stopsAll struct {
	*adapter.Memory
	mu    sync.Mutex
	stops []func()
}

func (s *stopsAll) Watch(f func(rooms.Change)) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = append(s.stops, s.Memory.Watch(f))
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, stop := range s.stops {
			stop()
		}
	}
}

// overlapping calls watchers from any goroutine as it comes.
type overlapping struct {
	*adapter.Memory
	mu       sync.Mutex
	watchers []func(rooms.Change)
}

func (s *overlapping) Watch(f func(rooms.Change)) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, f)
	return func() {}
}

func (s *overlapping) Put(e rooms.Entry, complete ...func(*rooms.Entry)) rooms.Entry {
	s.mu.Lock()
	watchers := s.watchers[:len(s.watchers):len(s.watchers)]
	s.mu.Unlock()
	for _, f := range watchers {
		f(rooms.Change{Entry: e})
	}
	return e
}
