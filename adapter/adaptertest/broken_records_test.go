package adaptertest

import (
	"context"
	"sync"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

// More of the stores of TestBrokenStoresFail and TestBrokenInstancesFail: what
// concerns lists, messages and records.

// joinsPlaces takes list and key for one name.
type joinsPlaces struct{ *adapter.Memory }

func (s joinsPlaces) joined(p rooms.Place) rooms.Place { return rooms.Place{Key: p.List + p.Key} }

func (s joinsPlaces) Put(e rooms.Entry, complete ...func(*rooms.Entry)) rooms.Entry {
	e.Place = s.joined(e.Place)
	return s.Memory.Put(e, complete...)
}

func (s joinsPlaces) Remove(p rooms.Place, reason rooms.Reason) { s.Memory.Remove(s.joined(p), reason) }

func editSaid(change func(*rooms.Said)) func(func(rooms.Change)) func(rooms.Change) {
	return edit(func(c *rooms.Change) {
		if c.Said != nil {
			said := *c.Said
			change(&said)
			c.Said = &said
		}
	})
}

// swapSaid tells every 70th message behind the next of its room.
func swapSaid(f func(rooms.Change)) func(rooms.Change) {
	n := 0
	var held *rooms.Change
	return func(c rooms.Change) {
		n++
		if n%70 == 0 && held == nil {
			held = &c
			return
		}
		f(c)
		if held != nil && held.Said.Room == c.Said.Room {
			f(*held)
			held = nil
		}
	}
}

// entriesLate holds each entry back until something else was told.
func entriesLate(f func(rooms.Change)) func(rooms.Change) {
	var held *rooms.Change
	return func(c rooms.Change) {
		before := held
		held = nil
		if c.Said == nil && before == nil {
			held = &c
			return
		}
		f(c)
		if before != nil {
			f(*before)
		}
	}
}

type historyFault struct {
	*adapter.Memory
	spoil func([]rooms.Said) []rooms.Said
}

func (s historyFault) History(ctx context.Context, room string) ([]rooms.Said, error) {
	kept, err := s.Memory.History(ctx, room)
	if len(kept) == 0 {
		return kept, err
	}
	return s.spoil(kept), err
}

type oneRoom struct{ *adapter.Memory }

func (s oneRoom) History(ctx context.Context, _ string) ([]rooms.Said, error) {
	return s.Memory.History(ctx, "many")
}

// editedMessages keeps another message than it was given.
type editedMessages struct {
	*adapter.Memory
	edit func(*rooms.NewMessage)
}

func (s editedMessages) Say(m rooms.NewMessage) (<-chan int64, error) {
	s.edit(&m)
	return s.Memory.Say(m)
}

type signsOutTwice struct{ *adapter.Memory }

func (s signsOutTwice) SignOut(user string) {
	s.Memory.SignOut(user)
	s.Memory.SignOut(user)
}

// ownRecords notes activity by its own rule.
type ownRecords struct {
	*adapter.Memory
	seen *sync.Map // time by user
	note func(before, at, now int64) int64
}

func newOwnRecords(m *adapter.Memory, note func(before, at, now int64) int64) Store {
	return ownRecords{m, new(sync.Map), note}
}

func (s ownRecords) Touch(user string, at int64) {
	before, _ := s.LastActive(context.Background(), user)
	s.seen.Store(user, s.note(before, at, time.Now().UnixMilli()))
}

func (s ownRecords) LastActive(_ context.Context, user string) (int64, error) {
	at, _ := s.seen.Load(user)
	before, _ := at.(int64)
	return before, nil
}

func notTooOld(at, now int64) int64 {
	if at < now-30*day {
		return 0
	}
	return at
}

// activeBy takes puts for activity that are none.
type activeBy struct {
	*adapter.Memory
	shows func(rooms.Entry) bool
}

func (s activeBy) Put(e rooms.Entry, complete ...func(*rooms.Entry)) rooms.Entry {
	if s.shows(e) {
		defer s.Touch(e.UserID, time.Now().UnixMilli())
	}
	return s.Memory.Put(e, complete...)
}

// remembersSockets remembers who is known by the socket alone.
type remembersSockets struct{ *adapter.Memory }

func (s remembersSockets) LastActive(ctx context.Context, user string) (int64, error) {
	if user == "socket" {
		return time.Now().UnixMilli(), nil
	}
	return s.Memory.LastActive(ctx, user)
}

// activeByTouch takes no put for activity.
type activeByTouch struct{ *adapter.Memory }

func (s activeByTouch) LastActive(context.Context, string) (int64, error) { return 0, nil }

// unsend takes back what was queued last, for some of the instances. The bus'
// mu is held.
func (s *relayed) unsend(from func(*relayed) bool) {
	for other, inbox := range s.bus.inbox {
		if from(other) {
			s.bus.inbox[other] = inbox[:len(inbox)-1]
		}
	}
}

type saysAtOnce struct{ *relayed }

func (s saysAtOnce) Say(m rooms.NewMessage) (<-chan int64, error) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	kept, err := s.bus.records.Say(m)
	inbox := s.bus.inbox[s.relayed]
	s.apply(inbox[len(inbox)-1])
	s.unsend(func(other *relayed) bool { return other == s.relayed })
	return kept, err
}

type saysAlone struct{ *relayed }

func (s saysAlone) Say(m rooms.NewMessage) (<-chan int64, error) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	kept, err := s.bus.records.Say(m)
	s.unsend(func(other *relayed) bool { return other != s.relayed })
	return kept, err
}

type signsOutHere struct{ *relayed }

func (s signsOutHere) SignOut(user string) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.apply(rooms.Change{SignOut: user})
}

// remembersAlone has records of its own.
type remembersAlone struct {
	*relayed
	records *adapter.Memory
}

func (s remembersAlone) Touch(user string, at int64) { s.records.Touch(user, at) }

func (s remembersAlone) LastActive(ctx context.Context, user string) (int64, error) {
	return s.records.LastActive(ctx, user)
}

func (s remembersAlone) Say(m rooms.NewMessage) (<-chan int64, error) {
	if _, err := s.records.Say(m); err != nil {
		return nil, err
	}
	return s.relayed.Say(m)
}

func (s remembersAlone) History(ctx context.Context, room string) ([]rooms.Said, error) {
	return s.records.History(ctx, room)
}

// statusAlone does not tell the others a status.
type statusAlone struct{ *relayed }

func (s statusAlone) Put(e rooms.Entry, complete ...func(*rooms.Entry)) rooms.Entry {
	put := e
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.apply(rooms.Change{Entry: e})
	e.Status = ""
	for other := range s.bus.inbox {
		if other != s.relayed {
			s.bus.inbox[other] = append(s.bus.inbox[other], rooms.Change{Entry: e})
		}
	}
	s.bus.filled.Broadcast()
	return put
}
