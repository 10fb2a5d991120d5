package adaptertest

import (
	"slices"
	"time"

	"rollcall/rooms"
)

// The stores of TestBrokenStoresFail: members of a cluster, with one fault each.

// faulty spoils what watchers are told.
type faulty struct {
	Store
	spoil func(f func(rooms.Change)) func(rooms.Change)
}

func (s faulty) Watch(f func([]rooms.Change)) func() {
	spoilt := s.spoil(func(c rooms.Change) { f([]rooms.Change{c}) })
	return s.Store.Watch(func(some []rooms.Change) {
		for _, c := range some {
			spoilt(c)
		}
	})
}

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

type tellsUnknown struct{ Store }

func (s tellsUnknown) Remove(place rooms.EntryKey, reason rooms.Reason) {
	s.Put(rooms.Entry{EntryKey: place})
	s.Store.Remove(place, reason)
}

// coarseClock tells the time in steps, and ahead of it.
type coarseClock struct {
	Store
	step, ahead time.Duration
}

func (s coarseClock) Now() int64 {
	return time.UnixMicro(s.Store.Now()).Add(s.ahead).Truncate(s.step).UnixMicro()
}

// snapshotFault spoils the first call of the watcher, which has what there is.
type snapshotFault struct {
	Store
	spoil func([]rooms.Change) []rooms.Change
}

func (s snapshotFault) Watch(f func([]rooms.Change)) func() {
	first := true
	return s.Store.Watch(func(some []rooms.Change) {
		if first {
			some, first = s.spoil(slices.Clone(some)), false
		}
		f(some)
	})
}

// keepsRemoved has removed entries in its snapshots.
type keepsRemoved struct{ Store }

func (s keepsRemoved) Remove(place rooms.EntryKey, reason rooms.Reason) {
	s.Store.Remove(place, reason)
	s.Put(rooms.Entry{EntryKey: place})
}

type neverStops struct{ Store }

func (s neverStops) Watch(f func([]rooms.Change)) func() {
	s.Store.Watch(f)
	return func() {}
}

// tellsOwn tells an instance of its own changes too.
type tellsOwn struct {
	Store
	watcher *func([]rooms.Change)
}

func (s tellsOwn) Watch(f func([]rooms.Change)) func() {
	*s.watcher = f
	return s.Store.Watch(f)
}

func (s tellsOwn) Put(e rooms.Entry) {
	s.Store.Put(e)
	(*s.watcher)([]rooms.Change{{Entry: e}})
}

// overlapping calls a watcher from any goroutine as it comes.
type overlapping struct{ Store }

func (s overlapping) Watch(f func([]rooms.Change)) func() {
	return s.Store.Watch(func(some []rooms.Change) {
		for _, c := range some {
			go f([]rooms.Change{c})
		}
	})
}
