// Package memory has the store and the bus of an instance that runs alone.
package memory

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"unicode/utf8"

	"rollcall/rooms"
)

// Bus is the bus of an instance that runs alone, and the part of every other
// bus that calls this instance's subscribers. The zero value has none.
type Bus struct {
	// mu guards the fields below. No subscriber is called under it.
	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
	calling     chan struct{} // closed when the subscribers have been called; nil: they are not called now
}

type subscriber struct{ f func(rooms.Broadcast) }

var _ rooms.Bus = (*Bus)(nil)

// Publish implements rooms.Bus.
func (b *Bus) Publish(m rooms.Broadcast) {
	if CheckMessage(m) == nil {
		b.Deliver(m)
	}
}

// Deliver calls the subscribers with a broadcast that CheckMessage accepts. One
// goroutine at a time does: others wait.
func (b *Bus) Deliver(m rooms.Broadcast) {
	b.lockIdle()
	subscribers := slices.Collect(maps.Keys(b.subscribers))
	b.calling = make(chan struct{})
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		close(b.calling)
		b.calling = nil
	}()
	for _, s := range subscribers {
		s.f(m)
	}
}

// lockIdle locks mu when no subscriber is being called.
func (b *Bus) lockIdle() {
	b.mu.Lock()
	for b.calling != nil {
		calling := b.calling
		b.mu.Unlock()
		<-calling
		b.mu.Lock()
	}
}

// Subscribe implements rooms.Bus.
func (b *Bus) Subscribe(f func(rooms.Broadcast)) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &subscriber{f}
	if b.subscribers == nil {
		b.subscribers = make(map[*subscriber]struct{})
	}
	b.subscribers[s] = struct{}{}
	return func() {
		b.lockIdle()
		defer b.mu.Unlock()
		delete(b.subscribers, s)
	}
}

// CheckMessage says why a message cannot be sent to clients.
func CheckMessage(m rooms.Broadcast) error {
	for _, arg := range m.Event.Args {
		// json.Valid does not look into strings; other bytes than UTF-8 would
		// cost every receiver its connection.
		if !json.Valid(arg) || !utf8.Valid(arg) {
			return errors.New("an argument is not JSON")
		}
	}
	return rooms.CheckEvent(m.Event.Name)
}
