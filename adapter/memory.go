package adapter

import (
	"bytes"
	"context"
	"sync"
	"time"

	"rollcall/rooms"
)

// Memory is the store of an instance that runs alone: it has no others to tell of
// its entries. The zero value is not usable; see NewMemory.
type Memory struct {
	clock   *sharedClock
	revoked revocations

	// mu guards the fields below.
	mu      sync.Mutex
	entries map[rooms.EntryKey]rooms.Entry
	records *records
	feed    feed
}

var (
	_ rooms.Store   = (*Memory)(nil)
	_ rooms.Records = (*Memory)(nil)
)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		clock:   newSharedClock(time.Now),
		entries: make(map[rooms.EntryKey]rooms.Entry),
		records: newRecords(time.Now),
	}
}

// Now implements rooms.Store by the local clock.
func (m *Memory) Now() int64 { return m.clock.now() }

// Put implements rooms.Store.
func (m *Memory) Put(e rooms.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, replaced := m.entries[e.EntryKey]
	m.entries[e.EntryKey] = e
	if isActivity(before, replaced, e) && isRemembered(e) {
		m.records.touch(e.UserID, m.records.now().UnixMilli())
	}
}

// Remove implements rooms.Store.
func (m *Memory) Remove(place rooms.EntryKey, _ rooms.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, place)
}

// Watch implements rooms.Store.
func (m *Memory) Watch(f func([]rooms.Change)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.feed.watcher = f
	return func() { m.feed.stop(&m.mu) }
}

// PostMessage implements rooms.Store. It never fails, and the id is there at once.
func (m *Memory) PostMessage(message rooms.ChatPost) (<-chan int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	said, isNew := m.records.say(message)
	kept := make(chan int64, 1)
	kept <- said.ID
	if isNew {
		m.feed.add(rooms.Change{Message: &said})
		m.feed.flush(&m.mu)
	}
	return kept, nil
}

// SignOut implements rooms.Store: there are no others.
func (m *Memory) SignOut(string) {}

// Touch implements rooms.Store, without delay.
func (m *Memory) Touch(user string, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[rooms.EntryKey{List: rooms.Online, Key: user}]; !ok || e.UserID != user { // else it is the socket's
		m.records.touch(user, at)
	}
}

// LastActive implements rooms.Records.
func (m *Memory) LastActive(_ context.Context, user string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records.lastActive(user), nil
}

// History implements rooms.Records.
func (m *Memory) History(_ context.Context, room string) ([]rooms.ChatMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records.history(room), nil
}

// isActivity tells whether putting an entry shows that its user was active:
// somebody came, came out of hiding, or changed the user's data. A change of
// status alone does not: nobody need have been there when it became away.
func isActivity(before rooms.Entry, replaced bool, e rooms.Entry) bool {
	switch {
	case e.List != rooms.Online || e.Status == rooms.Hidden:
		return false
	case !replaced || before.Status == rooms.Hidden:
		return true
	}
	return before.UserID != e.UserID || !bytes.Equal(before.Data, e.Data)
}

// isRemembered tells whether an entry's user is known by more than the socket,
// which never comes back.
func isRemembered(e rooms.Entry) bool { return e.UserID != e.Key && len(e.UserID) <= maxSeenID }
