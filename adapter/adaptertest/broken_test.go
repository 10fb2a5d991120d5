package adaptertest

import (
	"context"
	"slices"
	"sync"
	"time"

	"rollcall/rooms"
)

// A broken store is a member of a cluster with other methods.
type broken struct {
	Store
	now     func() int64
	put     func(rooms.Entry)
	remove  func(rooms.EntryKey, rooms.Reason)
	watch   func(f func([]rooms.Change)) (stop func())
	post    func(rooms.ChatPost) (<-chan int64, error)
	signOut func(user string)
	touch   func(user string, at int64)
	active  func(ctx context.Context, user string) (int64, error)
	history func(ctx context.Context, room string) ([]rooms.ChatMessage, error)
}

func newBroken(m Store) *broken {
	return &broken{m, m.Now, m.Put, m.Remove, m.Watch, m.PostMessage, m.SignOut, m.Touch, m.LastActive, m.History}
}

func (b *broken) Now() int64                                            { return b.now() }
func (b *broken) Put(e rooms.Entry)                                     { b.put(e) }
func (b *broken) Remove(key rooms.EntryKey, why rooms.Reason)           { b.remove(key, why) }
func (b *broken) Watch(f func([]rooms.Change)) func()                   { return b.watch(f) }
func (b *broken) PostMessage(m rooms.ChatPost) (<-chan int64, error)    { return b.post(m) }
func (b *broken) SignOut(user string)                                   { b.signOut(user) }
func (b *broken) Touch(user string, at int64)                           { b.touch(user, at) }
func (b *broken) LastActive(c context.Context, u string) (int64, error) { return b.active(c, u) }
func (b *broken) History(c context.Context, room string) ([]rooms.ChatMessage, error) {
	return b.history(c, room)
}

// spoils spoils what watchers are told, each change for itself.
func spoils(spoil func(f func(rooms.Change)) func(rooms.Change)) func(b *broken) {
	return func(b *broken) {
		b.watch = func(f func([]rooms.Change)) func() {
			spoilt := spoil(func(c rooms.Change) { f([]rooms.Change{c}) })
			return b.Store.Watch(func(some []rooms.Change) {
				for _, c := range some {
					spoilt(c)
				}
			})
		}
	}
}

// edits spoils each change alike.
func edits(change func(*rooms.Change)) func(b *broken) {
	return spoils(func(f func(rooms.Change)) func(rooms.Change) {
		return func(c rooms.Change) { change(&c); f(c) }
	})
}

func editsMessages(change func(*rooms.ChatMessage)) func(b *broken) {
	return edits(func(c *rooms.Change) {
		if c.Message != nil {
			m := *c.Message
			change(&m)
			c.Message = &m
		}
	})
}

// eachChange tells the n-th change of a watcher as it likes.
func eachChange[T any](tell func(f func(T), n int, c T)) func(func(T)) func(T) {
	return func(f func(T)) func(T) {
		n := 0
		return func(c T) { n++; tell(f, n, c) }
	}
}

func loseSome[T any](f func(T), n int, c T) {
	if n != 70 {
		f(c)
	}
}

func doubleSome[T any](f func(T), n int, c T) {
	f(c)
	if n == 70 {
		f(c)
	}
}

// swap tells every socket's seventh step after its eighth.
func swap(f func(rooms.Change)) func(rooms.Change) {
	held := make(map[string]rooms.Change)
	return func(c rooms.Change) {
		before, ok := held[c.Entry.Key]
		switch {
		case string(c.Entry.Data) == `{"n":7}`:
			held[c.Entry.Key] = c
		case ok:
			delete(held, c.Entry.Key)
			f(c)
			f(before)
		default:
			f(c)
		}
	}
}

// swapMessages tells every 70th message behind the next of its room.
func swapMessages(f func(rooms.Change)) func(rooms.Change) {
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

// tells tells another time, in steps.
func tells(step, ahead time.Duration) func(b *broken) {
	return func(b *broken) {
		b.now = func() int64 { return time.UnixMicro(b.Store.Now()).Add(ahead).Truncate(step).UnixMicro() }
	}
}

// tellsOwn tells an instance of its own changes too.
func tellsOwn(b *broken) {
	var watcher func([]rooms.Change)
	b.watch = func(f func([]rooms.Change)) func() { watcher = f; return b.Store.Watch(f) }
	b.put = func(e rooms.Entry) { b.Store.Put(e); watcher([]rooms.Change{{Entry: e}}) }
}

// overlaps calls a watcher from any goroutine as it comes.
func overlaps(b *broken) {
	b.watch = func(f func([]rooms.Change)) func() {
		return b.Store.Watch(func(some []rooms.Change) {
			for _, c := range some {
				go f([]rooms.Change{c})
			}
		})
	}
}

// starts tells no more than this of what there is.
func starts(most int) func(b *broken) {
	return func(b *broken) {
		b.watch = func(f func([]rooms.Change)) func() {
			first := true
			return b.Store.Watch(func(some []rooms.Change) {
				if first {
					some, first = some[:min(len(some), most)], false
				}
				f(some)
			})
		}
	}
}

// joinsKeys takes list and key for one name.
func joinsKeys(b *broken) {
	joined := func(k rooms.EntryKey) rooms.EntryKey { return rooms.EntryKey{Key: k.List + k.Key} }
	b.put = func(e rooms.Entry) { e.EntryKey = joined(e.EntryKey); b.Store.Put(e) }
	b.remove = func(k rooms.EntryKey, why rooms.Reason) { b.Store.Remove(joined(k), why) }
}

// keeps keeps another history.
func keeps(spoil func([]rooms.ChatMessage) []rooms.ChatMessage) func(b *broken) {
	return func(b *broken) {
		b.history = func(ctx context.Context, room string) ([]rooms.ChatMessage, error) {
			all, err := b.Store.History(ctx, room)
			if len(all) > 0 {
				all = spoil(all)
			}
			return all, err
		}
	}
}

// posts keeps another message than it was given.
func posts(edit func(*rooms.ChatPost)) func(b *broken) {
	return func(b *broken) {
		b.post = func(m rooms.ChatPost) (<-chan int64, error) { edit(&m); return b.Store.PostMessage(m) }
	}
}

// remembers notes activity by its own rule.
func remembers(note func(before, at, now int64) int64) func(b *broken) {
	return func(b *broken) {
		var seen sync.Map // time by user
		b.active = func(_ context.Context, user string) (int64, error) {
			at, _ := seen.LoadOrStore(user, int64(0))
			return at.(int64), nil
		}
		b.touch = func(user string, at int64) {
			before, _ := b.active(context.Background(), user)
			seen.Store(user, note(before, at, time.Now().UnixMilli()))
		}
	}
}

func notTooOld(at, now int64) int64 {
	if at < now-30*day {
		return 0
	}
	return at
}

// shows takes puts for activity that are none.
func shows(activity func(rooms.Entry) bool) func(b *broken) {
	return func(b *broken) {
		b.put = func(e rooms.Entry) {
			if activity(e) {
				defer b.Touch(e.UserID, time.Now().UnixMilli())
			}
			b.Store.Put(e)
		}
	}
}

// hides does not tell some changes; own are messages that this instance posted.
func hides(hidden func(own bool, c rooms.Change) bool) func(b *broken) {
	return func(b *broken) {
		var posted sync.Map
		b.post = func(m rooms.ChatPost) (<-chan int64, error) {
			posted.Store(m.Username+m.Content, true)
			return b.Store.PostMessage(m)
		}
		b.watch = func(f func([]rooms.Change)) func() {
			return b.Store.Watch(func(some []rooms.Change) {
				f(slices.DeleteFunc(slices.Clone(some), func(c rooms.Change) bool {
					own := false
					if c.Message != nil {
						_, own = posted.Load(c.Message.Username + c.Message.Content)
					}
					return hidden(own, c)
				}))
			})
		}
	}
}
