// Package adapter keeps the shared map of entries and carries changes between
// the instances of one deployment: the implementations of rooms.Store.
//
// What lives here: storage and transport of entries. What may not: any rule
// about who is shown to whom (rooms). Every implementation passes the contract
// suite of adaptertest.
package adapter

import (
	"cmp"
	"slices"
	"sync"

	"rollcall/rooms"
)

// Memory is the store of an instance that runs alone. The zero value is not
// usable; see NewMemory.
type Memory struct {
	// mu guards the fields below. Watchers are called under it, which their
	// contract allows (they neither block nor call back): so each sees the
	// changes once, in order, and none between its snapshot and the rest.
	mu       sync.Mutex
	entries  map[string]record
	puts     uint64 // how many there were
	watchers map[*watcher]struct{}
}

type record struct {
	entry rooms.Entry
	put   uint64 // when it was put last
}

type watcher struct{ f func(rooms.Change) }

var _ rooms.Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		entries:  make(map[string]record),
		watchers: make(map[*watcher]struct{}),
	}
}

// Put implements rooms.Store.
func (m *Memory) Put(e rooms.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	m.entries[e.Socket] = record{e, m.puts}
	m.tell(rooms.Change{Entry: e})
}

// Remove implements rooms.Store.
func (m *Memory) Remove(socket string, reason rooms.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.entries[socket]
	if !ok {
		return
	}
	delete(m.entries, socket)
	m.tell(rooms.Change{Entry: r.entry, Removed: true, Reason: reason})
}

// Watch implements rooms.Store. The snapshot has been told when it returns.
func (m *Memory) Watch(f func(rooms.Change)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.snapshot() {
		f(rooms.Change{Entry: e})
	}
	w := &watcher{f}
	m.watchers[w] = struct{}{}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, w)
	}
}

// snapshot is every entry in order of joining, and a user's own in order of
// their last put. mu is held.
func (m *Memory) snapshot() []rooms.Entry {
	records := make([]record, 0, len(m.entries))
	for _, r := range m.entries {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.entry.JoinedAt, b.entry.JoinedAt), cmp.Compare(a.put, b.put))
	})
	entries := make([]rooms.Entry, len(records))
	for i, r := range records {
		entries[i] = r.entry
	}
	return entries
}

// tell calls every watcher. mu is held.
func (m *Memory) tell(c rooms.Change) {
	for w := range m.watchers {
		w.f(c)
	}
}
