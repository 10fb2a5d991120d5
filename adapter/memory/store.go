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
	revoked *adapter.Revocations

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
		revoked: adapter.NewRevocations(),
		entries: make(map[rooms.EntryKey]rooms.Entry),
		records: newRecords(time.Now),
	}
}

// Now implements rooms.Store by the local clock.
func (s *Store) Now() int64 { return s.clock.Now() }

// Put implements rooms.Store.
func (s *Store) Put(e rooms.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, replaced := s.entries[e.EntryKey]
	s.entries[e.EntryKey] = e
	if adapter.IsActivity(before, replaced, e) && adapter.IsRemembered(e) {
		s.records.touch(e.UserID, s.records.now().UnixMilli())
	}
}

// Remove implements rooms.Store.
func (s *Store) Remove(place rooms.EntryKey, _ rooms.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, place)
}

// Watch implements rooms.Store.
func (s *Store) Watch(f func([]rooms.Change)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feed.Watch(f)
	return func() { s.feed.Stop(&s.mu) }
}

// PostMessage implements rooms.Store. It never fails, and the id is there at once.
func (s *Store) PostMessage(post rooms.ChatPost) (<-chan int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	message, isNew := s.records.post(post)
	kept := make(chan int64, 1)
	kept <- message.ID
	if isNew {
		s.feed.Add(rooms.Change{Message: &message})
		s.feed.Flush(&s.mu)
	}
	return kept, nil
}

// SignOut implements rooms.Store: there are no others.
func (s *Store) SignOut(string) {}

// Touch implements rooms.Store, without delay.
func (s *Store) Touch(user string, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[rooms.EntryKey{List: rooms.Online, Key: user}]; !ok || e.UserID != user { // else it is the socket's
		s.records.touch(user, at)
	}
}

// LastActive implements rooms.Records.
func (s *Store) LastActive(_ context.Context, user string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records.lastActive(user), nil
}

// History implements rooms.Records.
func (s *Store) History(_ context.Context, room string) ([]rooms.ChatMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records.history(room), nil
}

// Revoke refuses the tokens of a user that were issued until then, for at least
// 24 hours. It is forgotten with the process.
func (s *Store) Revoke(user string, at time.Time) { s.revoked.Note(user, at.UnixMilli(), time.Now()) }

// RevokedAt is when a user's tokens were revoked last, the zero time for never.
func (s *Store) RevokedAt(user string) time.Time { return s.revoked.At(user) }
