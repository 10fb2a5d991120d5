package adaptertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

// The suite itself is tested here: a store with delayed delivery between its
// instances passes, and each of the broken ones fails the check named for it.

func TestAsynchronousStorePasses(t *testing.T) {
	Run(t, func(t *testing.T, n int) []Store { return newRelayed(t, n) })
}

func TestBrokenStoresFail(t *testing.T) {
	for _, b := range []struct {
		fault string
		fails string // the check
		store func(*adapter.Memory) Store
	}{
		{"loses a change", "nothing is lost or doubled around a snapshot", func(m *adapter.Memory) Store {
			return faulty{m, eachChange(func(f func(rooms.Change), n int, c rooms.Change) {
				if n != 70 {
					f(c)
				}
			})}
		}},
		{"doubles a change", "nothing is lost or doubled around a snapshot", func(m *adapter.Memory) Store {
			return faulty{m, eachChange(func(f func(rooms.Change), n int, c rooms.Change) {
				f(c)
				if n == 70 {
					f(c)
				}
			})}
		}},
		{"swaps two changes", "each socket's changes keep their order", func(m *adapter.Memory) Store {
			return faulty{m, swap}
		}},
		{"tells its own late", "put, replace and remove", func(m *adapter.Memory) Store {
			return faulty{m, late}
		}},
		{"re-encodes users", "user objects are kept byte for byte", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) {
				var user any
				_ = json.Unmarshal(c.Entry.Data, &user)
				c.Entry.Data, _ = json.Marshal(user)
			})}
		}},
		{"compacts users", "user objects are kept byte for byte", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) {
				var compact bytes.Buffer
				_ = json.Compact(&compact, c.Entry.Data)
				c.Entry.Data = compact.Bytes()
			})}
		}},
		{"forgets reasons", "reasons are carried", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) {
				if c.Removed {
					c.Reason = rooms.Closed
				}
			})}
		}},
		{"forgets the user's identity", "every field arrives", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.UserID = c.Entry.Key })}
		}},
		{"forgets when a user was registered", "every field arrives", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.RegisteredAt = 0 })}
		}},
		{"forgets since when a user is visible", "every field arrives", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.VisibleAt = 0 })}
		}},
		{"tells a time twice", "time rises with every call, on every instance, and is one", func(m *adapter.Memory) Store {
			return coarseClock{m, time.Millisecond, 0}
		}},
		{"tells another time", "time rises with every call, on every instance, and is one", func(m *adapter.Memory) Store {
			return coarseClock{m, time.Microsecond, time.Hour}
		}},
		{"does not tell when it put", "who does not say when joined now, in the order of the puts", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.JoinedAt /= 1000 })}
		}},
		{"tells of unknown removals", "removing an unknown socket tells nobody", func(m *adapter.Memory) Store {
			return tellsUnknown{m}
		}},
		{"has no snapshot", "a late watcher gets a snapshot in order of joining", func(m *adapter.Memory) Store {
			return snapshotFault{m, func([]rooms.Change) []rooms.Change { return nil }}
		}},
		{"has its snapshot in order of putting", "a late watcher gets a snapshot in order of joining", func(m *adapter.Memory) Store {
			return snapshotFault{m, func(c []rooms.Change) []rooms.Change { slices.Reverse(c); return c }}
		}},
		{"keeps one entry too few", "many entries", func(m *adapter.Memory) Store {
			return snapshotFault{m, func(c []rooms.Change) []rooms.Change { return c[:min(len(c), 3999)] }}
		}},
		{"has a gap behind the snapshot", "nothing is lost or doubled around a snapshot", func(m *adapter.Memory) Store {
			return &gap{Memory: m}
		}},
		{"never stops", "stopped is stopped", func(m *adapter.Memory) Store { return neverStops{m} }},
		{"stops the others too", "stopped is stopped", func(m *adapter.Memory) Store {
			return &stopsAll{Memory: m}
		}},
		{"calls a watcher twice at a time", "watchers come and go under load", func(m *adapter.Memory) Store {
			return &overlapping{Memory: m}
		}},
		{"forgets to remove", "a removed entry is in no snapshot", func(m *adapter.Memory) Store {
			return keepsRemoved{m}
		}},
		{"has one list", "lists are apart", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.List = "" })}
		}},
		{"takes two places for one", "lists are apart", func(m *adapter.Memory) Store { return joinsPlaces{m} }},
		{"forgets the status", "statuses are carried, and hiding is no removal", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.Status = "" })}
		}},
		{"forgets when it was chosen", "statuses are carried, and hiding is no removal", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.StatusAt = 0 })}
		}},
		{"tells hiding as a removal", "statuses are carried, and hiding is no removal", func(m *adapter.Memory) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Removed = c.Entry.Status == rooms.Hidden })}
		}},
		{"loses a message", "everybody hears all messages once, in the order of their ids", func(m *adapter.Memory) Store {
			return faulty{m, eachChange(func(f func(rooms.Change), n int, c rooms.Change) {
				if n != 70 {
					f(c)
				}
			})}
		}},
		{"doubles a message", "everybody hears all messages once, in the order of their ids", func(m *adapter.Memory) Store {
			return faulty{m, eachChange(func(f func(rooms.Change), n int, c rooms.Change) {
				f(c)
				if n == 70 {
					f(c)
				}
			})}
		}},
		{"gives each two messages one id", "everybody hears all messages once, in the order of their ids", func(m *adapter.Memory) Store {
			return faulty{m, editSaid(func(said *rooms.Said) { said.ID /= 2 })}
		}},
		{"swaps two messages", "everybody hears all messages once, in the order of their ids", func(m *adapter.Memory) Store {
			return faulty{m, swapSaid}
		}},
		{"trims messages", "messages arrive whole", func(m *adapter.Memory) Store {
			return faulty{m, editSaid(func(said *rooms.Said) { said.Content = strings.TrimSpace(said.Content) })}
		}},
		{"has no clock", "messages arrive whole", func(m *adapter.Memory) Store {
			return faulty{m, editSaid(func(said *rooms.Said) { said.At = 0 })}
		}},
		{"tells messages before entries", "a message comes after what its sender did before", func(m *adapter.Memory) Store {
			return faulty{m, entriesLate}
		}},
		{"keeps a message too many", "the last messages of each room are kept", func(m *adapter.Memory) Store {
			return historyFault{m, func(kept []rooms.Said) []rooms.Said { return append(kept[:1:1], kept...) }}
		}},
		{"keeps a message too few", "the last messages of each room are kept", func(m *adapter.Memory) Store {
			return historyFault{m, func(kept []rooms.Said) []rooms.Said { return kept[1:] }}
		}},
		{"keeps the newest first", "the last messages of each room are kept", func(m *adapter.Memory) Store {
			return historyFault{m, func(kept []rooms.Said) []rooms.Said { slices.Reverse(kept); return kept }}
		}},
		{"has one history", "the last messages of each room are kept", func(m *adapter.Memory) Store { return oneRoom{m} }},
		{"knows no nonces", "the same nonce is the same message", func(m *adapter.Memory) Store {
			return editedMessages{m, func(m *rooms.NewMessage) { m.Nonce = "" }}
		}},
		{"forgets by use alone", "nobody pushes out the histories of those who take less", func(m *adapter.Memory) Store {
			return editedMessages{m, func(m *rooms.NewMessage) { m.From = rooms.Origin{} }}
		}},
		{"knows addresses alone", "nobody pushes out the histories of those who take less", func(m *adapter.Memory) Store {
			return editedMessages{m, func(m *rooms.NewMessage) { m.From.Client = "" }}
		}},
		{"tells a sign-out late", "sign-outs are heard once, the own at once", func(m *adapter.Memory) Store {
			return faulty{m, late}
		}},
		{"tells a sign-out twice", "sign-outs are heard once, the own at once", func(m *adapter.Memory) Store { return signsOutTwice{m} }},
		{"lets time go back", "activity is remembered", func(m *adapter.Memory) Store {
			return newOwnRecords(m, func(_, at, now int64) int64 { return notTooOld(min(at, now), now) })
		}},
		{"remembers for ever", "activity is remembered", func(m *adapter.Memory) Store {
			return newOwnRecords(m, func(before, at, now int64) int64 { return max(before, min(at, now)) })
		}},
		{"believes in the future", "activity is remembered", func(m *adapter.Memory) Store {
			return newOwnRecords(m, func(before, at, now int64) int64 { return max(before, notTooOld(at, now)) })
		}},
		{"takes every put for activity", "only what shows activity counts", func(m *adapter.Memory) Store {
			return activeBy{m, func(rooms.Entry) bool { return true }}
		}},
		{"sees the hidden", "only what shows activity counts", func(m *adapter.Memory) Store {
			return activeBy{m, func(e rooms.Entry) bool { return e.Status == rooms.Hidden }}
		}},
		{"sees who is in another list", "only what shows activity counts", func(m *adapter.Memory) Store {
			return activeBy{m, func(e rooms.Entry) bool { return e.List != rooms.Online }}
		}},
		{"remembers sockets", "only what shows activity counts", func(m *adapter.Memory) Store { return remembersSockets{m} }},
		{"takes no put for activity", "only what shows activity counts", func(m *adapter.Memory) Store { return activeByTouch{m} }},
	} {
		t.Run(b.fault, func(t *testing.T) {
			i := slices.IndexFunc(contract, func(c check) bool { return c.name == b.fails })
			if i < 0 {
				t.Fatalf("there is no check %q", b.fails)
			}
			failure := failureOf(contract[i], slices.Repeat([]Store{b.store(newMemory())}, contract[i].instances))
			if failure == "" {
				t.Fatalf("a store that %s passes the check %q", b.fault, b.fails)
			}
			t.Logf("%s: %.120s", b.fails, strings.ReplaceAll(failure, "\n", " "))
		})
	}
}

// Faults that only show between instances.
func TestBrokenInstancesFail(t *testing.T) {
	for _, b := range []struct {
		fault string
		fails string
		spoil func(*relayed) Store
	}{
		{"tells its own messages at once", "everybody hears all messages once, in the order of their ids", func(s *relayed) Store { return saysAtOnce{s} }},
		{"keeps its messages to itself", "everybody hears all messages once, in the order of their ids", func(s *relayed) Store { return saysAlone{s} }},
		{"signs out here only", "sign-outs are heard once, the own at once", func(s *relayed) Store { return signsOutHere{s} }},
		{"keeps its history to itself", "the last messages of each room are kept", func(s *relayed) Store { return remembersAlone{s, adapter.NewMemory()} }},
		{"keeps activity to itself", "activity is remembered", func(s *relayed) Store { return remembersAlone{s, adapter.NewMemory()} }},
		{"forgets the statuses of others", "statuses are carried, and hiding is no removal", func(s *relayed) Store { return statusAlone{s} }},
	} {
		t.Run(b.fault, func(t *testing.T) {
			i := slices.IndexFunc(contract, func(c check) bool { return c.name == b.fails })
			if i < 0 {
				t.Fatalf("there is no check %q", b.fails)
			}
			stores := newRelayed(t, contract[i].instances)
			for k, s := range stores {
				stores[k] = b.spoil(s.(*relayed))
			}
			failure := failureOf(contract[i], stores)
			if failure == "" {
				t.Fatalf("a store that %s passes the check %q", b.fault, b.fails)
			}
			t.Logf("%s: %.120s", b.fails, strings.ReplaceAll(failure, "\n", " "))
		})
	}
}

func newMemory() *adapter.Memory {
	m := adapter.NewMemory()
	m.BoundHistories(MaxHistories())
	return m
}

// failureOf runs a check and returns what it complains of, "" for nothing.
func failureOf(c check, stores []Store) string {
	r := &recorder{}
	done := make(chan struct{})
	go func() { // of its own, for Fatalf to end
		defer close(done)
		c.run(&suite{r, stores, time.Second})
	}()
	<-done
	return r.failure
}

type recorder struct{ failure string }

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
