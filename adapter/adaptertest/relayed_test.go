package adaptertest

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"rollcall/adapter"
	"rollcall/rooms"
)

// A relayed store is one instance of several that hear of each other's changes
// a while later, in the order that one bus gave them: what a shared store over
// a network looks like.
type relayed struct {
	replica *adapter.Memory
	bus     *bus

	// mu guards the field below and is held while watchers are called.
	mu       sync.Mutex
	watchers map[*int]func(rooms.Change)
}

// A bus carries changes, in one order, to every store but their own, and
// messages to all. A store of all that there is keeps the records.
type bus struct {
	records *adapter.Memory

	// mu guards the fields below, and orders the replica's and the bus's
	// account of a change alike.
	mu     sync.Mutex
	inbox  map[*relayed][]rooms.Change
	filled *sync.Cond
	closed bool
}

// newRelayed makes n of them. What is said is queued to all in its order.
func newRelayed(t *testing.T, n int) []Store {
	b := &bus{records: newMemory(), inbox: make(map[*relayed][]rooms.Change)}
	b.filled = sync.NewCond(&b.mu)
	b.records.Watch(func(c rooms.Change) { // mu is held
		for s := range b.inbox {
			if c.Said != nil {
				b.inbox[s] = append(b.inbox[s], c)
			}
		}
		b.filled.Broadcast()
	})
	var stores []Store
	var delivering sync.WaitGroup
	for range n {
		s := &relayed{replica: adapter.NewMemory(), bus: b, watchers: make(map[*int]func(rooms.Change))}
		b.inbox[s] = nil
		stores = append(stores, s)
	}
	for _, s := range stores {
		delivering.Go(s.(*relayed).deliver)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		b.closed = true
		b.filled.Broadcast()
		b.mu.Unlock()
		delivering.Wait()
	})
	return stores
}

func (s *relayed) Now() int64 { return s.bus.records.Now() }

func (s *relayed) Watch(f func(rooms.Change)) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, stop := new(int), s.replica.Watch(f)
	s.watchers[id] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		stop()
		delete(s.watchers, id)
	}
}

func (s *relayed) Put(e rooms.Entry, complete ...func(*rooms.Entry)) rooms.Entry {
	return s.change(rooms.Change{Entry: e}, complete...).Entry
}

func (s *relayed) Remove(place rooms.Place, reason rooms.Reason) {
	s.change(rooms.Change{Entry: rooms.Entry{Place: place}, Removed: true, Reason: reason})
}

func (s *relayed) Say(m rooms.NewMessage) (<-chan int64, error) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.bus.records.Say(m)
}

func (s *relayed) SignOut(user string) { s.change(rooms.Change{SignOut: user}) }

func (s *relayed) Touch(user string, at int64) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.bus.records.Touch(user, at)
}

func (s *relayed) LastActive(ctx context.Context, user string) (int64, error) {
	return s.bus.records.LastActive(ctx, user)
}

func (s *relayed) History(ctx context.Context, room string) ([]rooms.Said, error) {
	return s.bus.records.History(ctx, room)
}

func (s *relayed) change(c rooms.Change, complete ...func(*rooms.Entry)) rooms.Change {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	for _, f := range complete {
		f(&c.Entry)
	}
	if c.Entry.JoinedAt == 0 {
		c.Entry.JoinedAt = s.Now()
	}
	s.apply(c)
	switch {
	case c.Removed:
		s.bus.records.Remove(c.Entry.Place, c.Reason)
	case c.SignOut == "":
		s.bus.records.Put(c.Entry)
	}
	for other := range s.bus.inbox {
		if other != s {
			s.bus.inbox[other] = append(s.bus.inbox[other], c)
		}
	}
	s.bus.filled.Broadcast()
	return c
}

func (s *relayed) apply(c rooms.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.Said != nil || c.SignOut != "":
		for _, f := range s.watchers {
			f(c)
		}
	case c.Removed:
		s.replica.Remove(c.Entry.Place, c.Reason)
	default:
		s.replica.Put(c.Entry)
	}
}

func (s *relayed) deliver() {
	for {
		s.bus.mu.Lock()
		for len(s.bus.inbox[s]) == 0 && !s.bus.closed {
			s.bus.filled.Wait()
		}
		changes := s.bus.inbox[s]
		s.bus.inbox[s] = nil
		closed := s.bus.closed
		s.bus.mu.Unlock()
		if closed {
			return
		}
		for _, c := range changes {
			runtime.Gosched()
			s.apply(c)
		}
	}
}
