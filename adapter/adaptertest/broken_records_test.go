package adaptertest

import (
	"context"
	"slices"
	"sync"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// More of the stores of TestBrokenStoresFail and TestBrokenInstancesFail: what
// concerns lists, messages and records.

// joinsPlaces takes list and key for one name.
type joinsPlaces struct{ Store }

func (s joinsPlaces) joined(p rooms.EntryKey) rooms.EntryKey {
	return rooms.EntryKey{Key: p.List + p.Key}
}

func (s joinsPlaces) Put(e rooms.Entry) {
	e.EntryKey = s.joined(e.EntryKey)
	s.Store.Put(e)
}

func (s joinsPlaces) Remove(p rooms.EntryKey, reason rooms.Reason) {
	s.Store.Remove(s.joined(p), reason)
}

func editSaid(change func(*rooms.ChatMessage)) func(func(rooms.Change)) func(rooms.Change) {
	return edit(func(c *rooms.Change) {
		if c.Message != nil {
			said := *c.Message
			change(&said)
			c.Message = &said
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
		if held != nil && held.Message.Room == c.Message.Room {
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
		if c.Message == nil && before == nil {
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
	Store
	spoil func([]rooms.ChatMessage) []rooms.ChatMessage
}

func (s historyFault) History(ctx context.Context, room string) ([]rooms.ChatMessage, error) {
	kept, err := s.Store.History(ctx, room)
	if len(kept) == 0 {
		return kept, err
	}
	return s.spoil(kept), err
}

type oneRoom struct{ Store }

func (s oneRoom) History(ctx context.Context, _ string) ([]rooms.ChatMessage, error) {
	return s.Store.History(ctx, "many")
}

// editedMessages keeps another message than it was given.
type editedMessages struct {
	Store
	edit func(*rooms.ChatPost)
}

func (s editedMessages) PostMessage(m rooms.ChatPost) (<-chan int64, error) {
	s.edit(&m)
	return s.Store.PostMessage(m)
}

type signsOutTwice struct{ Store }

func (s signsOutTwice) SignOut(user string) {
	s.Store.SignOut(user)
	s.Store.SignOut(user)
}

// ownRecords notes activity by its own rule.
type ownRecords struct {
	Store
	seen *sync.Map // time by user
	note func(before, at, now int64) int64
}

func newOwnRecords(m Store, note func(before, at, now int64) int64) Store {
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
	Store
	shows func(rooms.Entry) bool
}

func (s activeBy) Put(e rooms.Entry) {
	if s.shows(e) {
		defer s.Touch(e.UserID, time.Now().UnixMilli())
	}
	s.Store.Put(e)
}

// remembersSockets remembers who is known by the socket alone.
type remembersSockets struct{ Store }

func (s remembersSockets) LastActive(ctx context.Context, user string) (int64, error) {
	if user == "socket" {
		return time.Now().UnixMilli(), nil
	}
	return s.Store.LastActive(ctx, user)
}

// activeByTouch takes no put for activity.
type activeByTouch struct{ Store }

func (s activeByTouch) LastActive(context.Context, string) (int64, error) { return 0, nil }

// keepsToItself is a store whose messages the others do not hear, or what else.
type keepsToItself struct {
	Store
	tells func(own bool, c rooms.Change) bool
	own   *sync.Map // messages that this one said
}

func (s keepsToItself) PostMessage(m rooms.ChatPost) (<-chan int64, error) {
	s.own.Store(m.Username+m.Content, true)
	return s.Store.PostMessage(m)
}

func (s keepsToItself) Watch(f func([]rooms.Change)) func() {
	return s.Store.Watch(func(some []rooms.Change) {
		f(slices.DeleteFunc(slices.Clone(some), func(c rooms.Change) bool {
			own := false
			if c.Message != nil {
				_, own = s.own.Load(c.Message.Username + c.Message.Content)
			}
			return !s.tells(own, c)
		}))
	})
}

// remembersAlone has records of its own.
type remembersAlone struct {
	Store
	records *memory.Store
}

func (s remembersAlone) Touch(user string, at int64) { s.records.Touch(user, at) }

func (s remembersAlone) LastActive(ctx context.Context, user string) (int64, error) {
	return s.records.LastActive(ctx, user)
}

func (s remembersAlone) PostMessage(m rooms.ChatPost) (<-chan int64, error) {
	if _, err := s.records.PostMessage(m); err != nil {
		return nil, err
	}
	return s.Store.PostMessage(m)
}

func (s remembersAlone) History(ctx context.Context, room string) ([]rooms.ChatMessage, error) {
	return s.records.History(ctx, room)
}
