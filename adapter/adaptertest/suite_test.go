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
	} {
		t.Run(b.fault, func(t *testing.T) {
			i := slices.IndexFunc(contract, func(c check) bool { return c.name == b.fails })
			if i < 0 {
				t.Fatalf("there is no check %q", b.fails)
			}
			failure := failureOf(contract[i], slices.Repeat([]Store{b.store(adapter.NewMemory())}, contract[i].instances))
			if failure == "" {
				t.Fatalf("a store that %s passes the check %q", b.fault, b.fails)
			}
			t.Logf("%s: %.120s", b.fails, strings.ReplaceAll(failure, "\n", " "))
		})
	}
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
