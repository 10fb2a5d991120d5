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
	"time"

	"rollcall/rooms"
)

// Memory is the store of an instance that runs alone. The zero value is not
// usable; see NewMemory.
type Memory struct {
	// mu guards the fields below. Watchers are called under it, which their
	// contract allows (they neither block nor call back): so each sees the
	// changes once, in order, and none between its snapshot and the rest.
	mu       sync.Mutex
	entries  map[rooms.Place]record
	puts     uint64 // how many there were
	watchers map[*watcher]struct{}

	*records
}

type record struct {
	entry rooms.Entry
	put   uint64 // when it was put last
}

type watcher struct{ f func(rooms.Change) }

var (
	_ rooms.Store   = (*Memory)(nil)
	_ rooms.Records = (*Memory)(nil)
)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		entries:  make(map[rooms.Place]record),
		watchers: make(map[*watcher]struct{}),
		records:  newRecords(time.Now),
	}
}

// Put implements rooms.Store.
func (m *Memory) Put(e rooms.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	m.entries[e.Place] = record{e, m.puts}
	m.tell(rooms.Change{Entry: e})
}

// Remove implements rooms.Store.
func (m *Memory) Remove(place rooms.Place, reason rooms.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.entries[place]
	if !ok {
		return
	}
	delete(m.entries, place)
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

// Say implements rooms.Store. It never fails.
func (m *Memory) Say(room, username, content string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	said := m.say(room, username, content)
	m.tell(rooms.Change{Said: &said})
	return nil
}

// SignOut implements rooms.Store.
func (m *Memory) SignOut(user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(rooms.Change{SignOut: user})
}

// Touch implements rooms.Store, without delay.
func (m *Memory) Touch(user string, at int64) { m.touch(user, at) }

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
