package memory

import (
	"context"
	"sync"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

// Store is the store of an instance that runs alone: it has no others to tell of
// its entries. The zero value is not usable; see New.
type Store struct {
	clock   *adapter.Clock
	revoked adapter.Revocations

	// mu guards the fields below.
	mu      sync.Mutex
	entries map[rooms.EntryKey]rooms.Entry
	records *records
	feed    adapter.Feed
}

var (
	_ rooms.Store   = (*Store)(nil)
	_ rooms.Records = (*Store)(nil)
)

// New makes an empty store.
func New() *Store {
	return &Store{
		clock:   adapter.NewClock(time.Now),
		entries: make(map[rooms.EntryKey]rooms.Entry),
		records: newRecords(time.Now),
	}
}

// Now implements rooms.Store by the local clock.
func (m *Store) Now() int64 { return m.clock.Now() }

// Put implements rooms.Store.
func (m *Store) Put(e rooms.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, replaced := m.entries[e.EntryKey]
	m.entries[e.EntryKey] = e
	if adapter.IsActivity(before, replaced, e) && adapter.IsRemembered(e) {
		m.records.touch(e.UserID, m.records.now().UnixMilli())
	}
}

// Remove implements rooms.Store.
func (m *Store) Remove(place rooms.EntryKey, _ rooms.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, place)
}

// Watch implements rooms.Store.
func (m *Store) Watch(f func([]rooms.Change)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.feed.Watch(f)
	return func() { m.feed.Stop(&m.mu) }
}

// PostMessage implements rooms.Store. It never fails, and the id is there at once.
func (m *Store) PostMessage(message rooms.ChatPost) (<-chan int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	said, isNew := m.records.say(message)
	kept := make(chan int64, 1)
	kept <- said.ID
	if isNew {
		m.feed.Add(rooms.Change{Message: &said})
		m.feed.Flush(&m.mu)
	}
	return kept, nil
}

// SignOut implements rooms.Store: there are no others.
func (m *Store) SignOut(string) {}

// Touch implements rooms.Store, without delay.
func (m *Store) Touch(user string, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[rooms.EntryKey{List: rooms.Online, Key: user}]; !ok || e.UserID != user { // else it is the socket's
		m.records.touch(user, at)
	}
}

// LastActive implements rooms.Records.
func (m *Store) LastActive(_ context.Context, user string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records.lastActive(user), nil
}

// History implements rooms.Records.
func (m *Store) History(_ context.Context, room string) ([]rooms.ChatMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records.history(room), nil
}

// Revoke refuses the tokens of a user that were issued until then, for at least
// 24 hours. It is forgotten with the process.
func (m *Store) Revoke(user string, at time.Time) { m.revoked.Note(user, at.UnixMilli(), time.Now()) }

// RevokedAt is when a user's tokens were revoked last, the zero time for never.
func (m *Store) RevokedAt(user string) time.Time { return adapter.AsTime(m.revoked.At(user)) }
