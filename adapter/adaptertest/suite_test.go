package adaptertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// The suite itself is tested here: a Cluster passes, and each of the broken stores
// fails the check named for it.

func TestClusterPasses(t *testing.T) { Run(t, cluster) }

// cluster opens the members of a fresh cluster.
func cluster(*testing.T) func(i int) Store {
	c := NewCluster(newMemory())
	return func(i int) Store { return c.Open(Instance(i)) }
}

func TestBrokenStoresFail(t *testing.T) {
	for _, b := range []struct {
		fault string
		fails string // the check
		store func(Store) Store
	}{
		{"loses a change", "nothing is lost or doubled around a snapshot", func(m Store) Store {
			return faulty{m, eachChange(func(f func(rooms.Change), n int, c rooms.Change) {
				if n != 70 {
					f(c)
				}
			})}
		}},
		{"doubles a change", "nothing is lost or doubled around a snapshot", func(m Store) Store {
			return faulty{m, eachChange(func(f func(rooms.Change), n int, c rooms.Change) {
				f(c)
				if n == 70 {
					f(c)
				}
			})}
		}},
		{"swaps two changes", "each socket's changes keep their order", func(m Store) Store {
			return faulty{m, swap}
		}},
		{"tells its own too", "put, replace and remove", func(m Store) Store {
			return tellsOwn{m, new(func([]rooms.Change))}
		}},
		{"re-encodes users", "user objects are kept byte for byte", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) {
				var user any
				_ = json.Unmarshal(c.Entry.Data, &user)
				c.Entry.Data, _ = json.Marshal(user)
			})}
		}},
		{"compacts users", "user objects are kept byte for byte", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) {
				var compact bytes.Buffer
				_ = json.Compact(&compact, c.Entry.Data)
				c.Entry.Data = compact.Bytes()
			})}
		}},
		{"forgets reasons", "reasons are carried", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) {
				if c.Removed {
					c.Reason = rooms.Closed
				}
			})}
		}},
		{"forgets the user's identity", "every field arrives", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.UserID = c.Entry.Key })}
		}},
		{"forgets when a user was registered", "every field arrives", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.RegisteredAt = 0 })}
		}},
		{"forgets since when a user is visible", "every field arrives", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.VisibleAt = 0 })}
		}},
		{"tells a time twice", "time rises with every call, on every instance, and is one", func(m Store) Store {
			return coarseClock{m, time.Millisecond, 0}
		}},
		{"tells another time", "time rises with every call, on every instance, and is one", func(m Store) Store {
			return coarseClock{m, time.Microsecond, time.Hour}
		}},
		{"tells of unknown removals", "removing an unknown socket tells nobody", func(m Store) Store {
			return tellsUnknown{m}
		}},
		{"has no snapshot", "a new instance is told what there is", func(m Store) Store {
			return snapshotFault{m, func([]rooms.Change) []rooms.Change { return nil }}
		}},
		{"keeps one entry too few", "many entries", func(m Store) Store {
			return snapshotFault{m, func(c []rooms.Change) []rooms.Change { return c[:min(len(c), 3999)] }}
		}},
		{"never stops", "stopped is stopped", func(m Store) Store { return neverStops{m} }},
		{"calls a watcher twice at a time", "each socket's changes keep their order", func(m Store) Store { return overlapping{m} }},
		{"forgets to remove", "a removed entry is in no snapshot", func(m Store) Store {
			return keepsRemoved{m}
		}},
		{"has one list", "lists are apart", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.List = "" })}
		}},
		{"takes two places for one", "lists are apart", func(m Store) Store { return joinsPlaces{m} }},
		{"forgets the status", "statuses are carried, and hiding is no removal", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.Status = "" })}
		}},
		{"forgets when it was chosen", "statuses are carried, and hiding is no removal", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.StatusAt = 0 })}
		}},
		{"tells hiding as a removal", "statuses are carried, and hiding is no removal", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Removed = c.Entry.Status == rooms.Hidden })}
		}},
		{"loses a message", "everybody hears all messages once, in the order of their ids", func(m Store) Store {
			return faulty{m, eachChange(func(f func(rooms.Change), n int, c rooms.Change) {
				if n != 70 {
					f(c)
				}
			})}
		}},
		{"doubles a message", "everybody hears all messages once, in the order of their ids", func(m Store) Store {
			return faulty{m, eachChange(func(f func(rooms.Change), n int, c rooms.Change) {
				f(c)
				if n == 70 {
					f(c)
				}
			})}
		}},
		{"gives each two messages one id", "everybody hears all messages once, in the order of their ids", func(m Store) Store {
			return faulty{m, editSaid(func(said *rooms.ChatMessage) { said.ID /= 8 })}
		}},
		{"swaps two messages", "everybody hears all messages once, in the order of their ids", func(m Store) Store {
			return faulty{m, swapSaid}
		}},
		{"trims messages", "messages arrive whole", func(m Store) Store {
			return faulty{m, editSaid(func(said *rooms.ChatMessage) { said.Content = strings.TrimSpace(said.Content) })}
		}},
		{"has no clock", "messages arrive whole", func(m Store) Store {
			return faulty{m, editSaid(func(said *rooms.ChatMessage) { said.At = 0 })}
		}},
		{"tells messages before entries", "a message comes after what its sender did before", func(m Store) Store {
			return faulty{m, entriesLate}
		}},
		{"keeps a message too many", "the last messages of each room are kept", func(m Store) Store {
			return historyFault{m, func(kept []rooms.ChatMessage) []rooms.ChatMessage { return append(kept[:1:1], kept...) }}
		}},
		{"keeps a message too few", "the last messages of each room are kept", func(m Store) Store {
			return historyFault{m, func(kept []rooms.ChatMessage) []rooms.ChatMessage { return kept[1:] }}
		}},
		{"keeps the newest first", "the last messages of each room are kept", func(m Store) Store {
			return historyFault{m, func(kept []rooms.ChatMessage) []rooms.ChatMessage { slices.Reverse(kept); return kept }}
		}},
		{"has one history", "the last messages of each room are kept", func(m Store) Store { return oneRoom{m} }},
		{"knows no nonces", "the same nonce is the same message", func(m Store) Store {
			return editedMessages{m, func(m *rooms.ChatPost) { m.Nonce = "" }}
		}},
		{"forgets by use alone", "nobody pushes out the histories of those who take less", func(m Store) Store {
			return editedMessages{m, func(m *rooms.ChatPost) { m.From = rooms.Origin{} }}
		}},
		{"knows addresses alone", "nobody pushes out the histories of those who take less", func(m Store) Store {
			return editedMessages{m, func(m *rooms.ChatPost) { m.From.Client = "" }}
		}},
		{"tells a sign-out twice", "sign-outs are heard once, by the others", func(m Store) Store { return signsOutTwice{m} }},
		{"lets time go back", "activity is remembered", func(m Store) Store {
			return newOwnRecords(m, func(_, at, now int64) int64 { return notTooOld(min(at, now), now) })
		}},
		{"remembers for ever", "activity is remembered", func(m Store) Store {
			return newOwnRecords(m, func(before, at, now int64) int64 { return max(before, min(at, now)) })
		}},
		{"believes in the future", "activity is remembered", func(m Store) Store {
			return newOwnRecords(m, func(before, at, now int64) int64 { return max(before, notTooOld(at, now)) })
		}},
		{"takes every put for activity", "only what shows activity counts", func(m Store) Store {
			return activeBy{m, func(rooms.Entry) bool { return true }}
		}},
		{"sees the hidden", "only what shows activity counts", func(m Store) Store {
			return activeBy{m, func(e rooms.Entry) bool { return e.Status == rooms.Hidden }}
		}},
		{"sees who is in another list", "only what shows activity counts", func(m Store) Store {
			return activeBy{m, func(e rooms.Entry) bool { return e.List != rooms.Online }}
		}},
		{"remembers sockets", "only what shows activity counts", func(m Store) Store { return remembersSockets{m} }},
		{"takes no put for activity", "only what shows activity counts", func(m Store) Store { return activeByTouch{m} }},
	} {
		t.Run(b.fault, func(t *testing.T) {
			i := slices.IndexFunc(contract, func(c check) bool { return c.name == b.fails })
			if i < 0 {
				t.Fatalf("there is no check %q", b.fails)
			}
			open := cluster(t)
			failure := failureOf(contract[i], func(i int) Store { return b.store(open(i)) })
			if failure == "" {
				t.Fatalf("a store that %s passes the check %q", b.fault, b.fails)
			}
			t.Logf("%s: %.120s", b.fails, strings.ReplaceAll(failure, "\n", " "))
		})
	}
}

// Faults of some instances only.
func TestBrokenInstancesFail(t *testing.T) {
	tells := func(what func(own bool, c rooms.Change) bool) func(Store) Store {
		return func(m Store) Store { return keepsToItself{m, what, new(sync.Map)} }
	}
	for _, b := range []struct {
		fault string
		fails string
		spoil func(Store) Store
	}{
		{"does not hear its own messages", "everybody hears all messages once, in the order of their ids", tells(func(own bool, c rooms.Change) bool { return c.Message == nil || !own })},
		{"hears its own messages only", "everybody hears all messages once, in the order of their ids", tells(func(own bool, c rooms.Change) bool { return c.Message == nil || own })},
		{"hears of no sign-out", "sign-outs are heard once, by the others", tells(func(_ bool, c rooms.Change) bool { return c.SignOut == "" })},
		{"keeps its history to itself", "the last messages of each room are kept", func(m Store) Store { return remembersAlone{m, memory.New()} }},
		{"keeps activity to itself", "activity is remembered", func(m Store) Store { return remembersAlone{m, memory.New()} }},
		{"forgets the statuses of others", "statuses are carried, and hiding is no removal", func(m Store) Store {
			return faulty{m, edit(func(c *rooms.Change) { c.Entry.Status = "" })}
		}},
	} {
		t.Run(b.fault, func(t *testing.T) {
			i := slices.IndexFunc(contract, func(c check) bool { return c.name == b.fails })
			if i < 0 {
				t.Fatalf("there is no check %q", b.fails)
			}
			open := cluster(t)
			failure := failureOf(contract[i], func(i int) Store {
				if i == 1 {
					return b.spoil(open(i))
				}
				return open(i)
			})
			if failure == "" {
				t.Fatalf("a store that %s passes the check %q", b.fault, b.fails)
			}
			t.Logf("%s: %.120s", b.fails, strings.ReplaceAll(failure, "\n", " "))
		})
	}
}

func newMemory() *memory.Store {
	m := memory.New()
	m.BoundHistories(MaxHistories())
	return m
}

// failureOf runs a check and returns what it complains of, "" for nothing.
func failureOf(c check, open func(i int) Store) string {
	r := &recorder{}
	done := make(chan struct{})
	go func() { // of its own, for Fatalf to end
		defer close(done)
		c.run(newSuite(r, open, c.instances, time.Second))
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
