package adaptertest

import (
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
}

// A bus carries changes, in one order, to every store but their own.
type bus struct {
	// mu guards the field below, and orders the replica's and the bus's
	// account of a change alike.
	mu     sync.Mutex
	inbox  map[*relayed][]rooms.Change
	filled *sync.Cond
	closed bool
}

func newRelayed(t *testing.T, n int) []rooms.Store {
	b := &bus{inbox: make(map[*relayed][]rooms.Change)}
	b.filled = sync.NewCond(&b.mu)
	var stores []rooms.Store
	var delivering sync.WaitGroup
	for range n {
		s := &relayed{adapter.NewMemory(), b}
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

func (s *relayed) Watch(f func(rooms.Change)) func() { return s.replica.Watch(f) }

func (s *relayed) Put(e rooms.Entry) { s.change(rooms.Change{Entry: e}) }

func (s *relayed) Remove(place rooms.Place, reason rooms.Reason) {
	s.change(rooms.Change{Entry: rooms.Entry{Place: place}, Removed: true, Reason: reason})
}

func (s *relayed) Say(room, username, content string) error {
	return s.replica.Say(room, username, content)
}
func (s *relayed) SignOut(user string)         { s.replica.SignOut(user) }
func (s *relayed) Touch(user string, at int64) { s.replica.Touch(user, at) }

func (s *relayed) change(c rooms.Change) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.apply(c)
	for other := range s.bus.inbox {
		if other != s {
			s.bus.inbox[other] = append(s.bus.inbox[other], c)
		}
	}
	s.bus.filled.Broadcast()
}

func (s *relayed) apply(c rooms.Change) {
	if c.Removed {
		s.replica.Remove(c.Entry.Place, c.Reason)
	} else {
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
