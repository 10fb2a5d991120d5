package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"rollcall/rooms"
)

// MemoryBus is the bus of an instance that runs alone.
type MemoryBus struct{ subscribers subscribers }

var _ rooms.Bus = (*MemoryBus)(nil)

// NewMemoryBus makes a bus without subscribers.
func NewMemoryBus() *MemoryBus { return &MemoryBus{} }

// Publish implements rooms.Bus.
func (b *MemoryBus) Publish(m rooms.Message) {
	if checkMessage(m) == nil {
		b.subscribers.tell(m)
	}
}

// Subscribe implements rooms.Bus.
func (b *MemoryBus) Subscribe(f func(rooms.Message)) (stop func()) { return b.subscribers.add(f) }

// subscribers are those of one instance. The zero value has none.
type subscribers struct {
	// mu guards the field below. Subscribers are called under it, which their
	// contract allows (they neither block nor call back): so they hear one
	// message at a time, and none after their stop.
	mu  sync.Mutex
	all map[*subscriber]struct{}
}

type subscriber struct{ f func(rooms.Message) }

func (s *subscribers) add(f func(rooms.Message)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := &subscriber{f}
	if s.all == nil {
		s.all = make(map[*subscriber]struct{})
	}
	s.all[one] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, one)
	}
}

func (s *subscribers) tell(m rooms.Message) { s.tellAnd(m, func() {}) }

// tellAnd calls the subscribers and then does something before anybody is told
// the next message.
func (s *subscribers) tellAnd(m rooms.Message, then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.all {
		one.f(m)
	}
	then()
}

var errNoName = errors.New("the event has no name")

func checkName(name string) error {
	switch {
	case name == "":
		return errNoName
	case rooms.Reserved(name):
		return fmt.Errorf("the event name %q is reserved", name)
	}
	return nil
}

// checkMessage says why a message cannot be sent to clients.
func checkMessage(m rooms.Message) error {
	for _, arg := range m.Event.Args {
		// json.Valid does not look into strings; other bytes than UTF-8 would
		// cost every receiver its connection.
		if !json.Valid(arg) || !utf8.Valid(arg) {
			return errors.New("an argument is not JSON")
		}
	}
	return checkName(m.Event.Name)
}
