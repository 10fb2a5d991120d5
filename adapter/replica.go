package adapter

import (
	"cmp"
	"slices"
	"sync"

	"rollcall/rooms"
)

// A replica is all entries as one instance knows them, and its watchers.
type replica struct {
	// mu guards the fields below. Watchers are called under it, which their
	// contract allows (they neither block nor call back): so each sees the
	// changes once, in order, and none between its snapshot and the rest.
	mu       sync.Mutex
	entries  map[rooms.Place]record
	puts     uint64 // how many there were
	watchers map[*watcher]struct{}
	// sum is the sum of all entries' hashes: of two replicas with the same entries
	// it is the same, and hardly ever of two that differ. Only with sums.
	sums bool
	sum  uint64
}

type record struct {
	entry rooms.Entry
	put   uint64 // when it was put last
	hash  uint64
}

type watcher struct{ f func(rooms.Change) }

func newReplica() *replica {
	return &replica{
		entries:  make(map[rooms.Place]record),
		watchers: make(map[*watcher]struct{}),
	}
}

// put sets an entry, and returns the one that it replaces.
func (r *replica) put(e rooms.Entry) (before rooms.Entry, replaced bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.putLocked(e)
}

// completed is an entry as it is to be put: one that does not say when it joined
// joins now.
func completed(e rooms.Entry, clock *sharedClock, complete []func(*rooms.Entry)) rooms.Entry {
	for _, f := range complete {
		f(&e)
	}
	if e.JoinedAt == 0 {
		e.JoinedAt = clock.now()
	}
	return e
}

// putNow completes an entry and sets it. It returns it and the one that it
// replaces.
func (r *replica) putNow(e rooms.Entry, clock *sharedClock, complete []func(*rooms.Entry)) (before rooms.Entry, replaced bool, now rooms.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e = completed(e, clock, complete)
	before, replaced = r.putLocked(e)
	return before, replaced, e
}

// putLocked is put. mu is held.
func (r *replica) putLocked(e rooms.Entry) (before rooms.Entry, replaced bool) {
	old, replaced := r.entries[e.Place]
	r.puts++
	now := record{entry: e, put: r.puts}
	if r.sums {
		now.hash = hashOf(e)
		r.sum += now.hash - old.hash
	}
	r.entries[e.Place] = now
	r.tellLocked(rooms.Change{Entry: e})
	return old.entry, replaced
}

// remove deletes an entry; an unknown one is no error.
func (r *replica) remove(place rooms.Place, reason rooms.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.entries[place]
	if !ok {
		return
	}
	delete(r.entries, place)
	r.sum -= old.hash
	r.tellLocked(rooms.Change{Entry: old.entry, Removed: true, Reason: reason})
}

func (r *replica) get(place rooms.Place) (rooms.Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.entries[place]
	return known.entry, ok
}

// watch is rooms.Store's Watch. The snapshot has been told when it returns.
func (r *replica) watch(f func(rooms.Change)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.snapshot() {
		f(rooms.Change{Entry: e})
	}
	w := &watcher{f}
	r.watchers[w] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, w)
	}
}

// tell calls every watcher with a change that is of no entry.
func (r *replica) tell(c rooms.Change) { r.tellOf(func() (rooms.Change, bool) { return c, true }) }

// tellOf makes a change in the order in which it is told, if there is one.
func (r *replica) tellOf(make func() (rooms.Change, bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := make(); ok {
		r.tellLocked(c)
	}
}

// tellLocked calls every watcher. mu is held.
func (r *replica) tellLocked(c rooms.Change) {
	for w := range r.watchers {
		w.f(c)
	}
}

// snapshot is every entry in order of joining, and those of one moment in
// order of their last put. mu is held.
func (r *replica) snapshot() []rooms.Entry {
	records := make([]record, 0, len(r.entries))
	for _, known := range r.entries {
		records = append(records, known)
	}
	slices.SortFunc(records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.entry.JoinedAt, b.entry.JoinedAt), cmp.Compare(a.put, b.put))
	})
	entries := make([]rooms.Entry, len(records))
	for i, known := range records {
		entries[i] = known.entry
	}
	return entries
}
