// Package memory has the bus of an instance that runs alone.
package memory

import (
	"encoding/json"
	"errors"
	"sync"
	"unicode/utf8"

	"rollcall/rooms"
)

// Bus is the bus of an instance that runs alone, and the part of every other
// bus that calls this instance's subscribers. The zero value has none.
type Bus struct {
	// mu guards the field below. Subscribers are called under it, which their
	// contract allows (they neither block nor call back): so they get one message
	// at a time, and none after their stop.
	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
}

type subscriber struct{ f func(rooms.Broadcast) }

var _ rooms.Bus = (*Bus)(nil)

// Publish implements rooms.Bus.
func (b *Bus) Publish(m rooms.Broadcast) {
	if CheckMessage(m) == nil {
		b.Deliver(m)
	}
}

// Deliver calls the subscribers with a message that CheckMessage accepts.
func (b *Bus) Deliver(m rooms.Broadcast) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subscribers {
		s.f(m)
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
		b.mu.Lock()
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
