// Package adaptertest is the contract of rooms.Store and rooms.Records as a
// test suite, and that of rooms.Bus. Every implementation in package adapter
// passes it, alone and as several instances that share one state.
//
// The suite asks for no more than the contract: the other instances are told of a
// change in the end. So it waits for conditions.
package adaptertest

import (
	"cmp"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/rooms"
)

// Store is what the suite checks.
type Store interface {
	rooms.Store
	rooms.Records
}

var maxHistories = flag.Int("max-histories", 4<<20, "bound of all rooms' histories in the stores under test, in bytes; production's is 67108864")

// MaxHistories is what open bounds all rooms' histories by, in bytes: less than
// in production, because a check fills it.
func MaxHistories() int { return *maxHistories }

// Run checks a store that instances share. share makes a fresh shared state, and
// returns what opens the store of the instance named Instance(i) on it; it cleans
// up by t.Cleanup.
func Run(t *testing.T, share func(t *testing.T) (open func(i int) Store)) {
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newSuite(t, share(t), c.instances, Patience))
		})
	}
}

// RunAlone checks the store of an instance that has no others.
func RunAlone(t *testing.T, open func() Store) {
	for _, c := range contract {
		if !c.shared {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(newSuite(t, func(int) Store { return open() }, 1, Patience))
			})
		}
	}
}

func newSuite(r reporter, open func(i int) Store, instances int, patience time.Duration) *suite {
	s := &suite{reporter: r, open: open, patience: patience}
	for range instances {
		s.stores = append(s.stores, open(len(s.stores)))
	}
	return s
}

// Instance is the name of the i-th handle's instance.
func Instance(i int) string { return fmt.Sprintf("instance-%d", i) }

// reporter is what the suite needs of *testing.T: with another one its own
// test shows that broken stores fail. Fatalf must end the goroutine.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

type suite struct {
	reporter
	stores   []Store
	open     func(i int) Store
	joined   int
	patience time.Duration // how long to wait for a condition
}

// A check is one clause of the contract.
type check struct {
	name      string
	instances int
	shared    bool // it is about what the others are told
	run       func(*suite)
}

// entry makes an entry that the i-th instance may put.
func entry(i int, socket, user string, joinedAt int64) rooms.Entry {
	return rooms.Entry{
		EntryKey: rooms.EntryKey{Key: socket},
		Instance: Instance(i),
		UserID:   cmp.Or(rooms.UserID([]byte(user)), "user of "+socket),
		Data:     []byte(user),
		JoinedAt: joinedAt,
	}
}

// A journal is a watcher that keeps what it is told.
type journal struct {
	s      *suite
	stop   func()
	inside atomic.Bool

	// mu guards the fields below.
	mu      sync.Mutex
	changes []rooms.Change
	overlap bool
	more    chan struct{} // closed at the next change
}

func (s *suite) watch(i int) *journal { return s.watchStore(s.stores[i]) }

func (s *suite) watchStore(store Store) *journal {
	j := &journal{s: s, more: make(chan struct{})}
	j.stop = store.Watch(j.see)
	return j
}

// join starts one more instance, which watches.
func (s *suite) join() *journal {
	s.joined++
	return s.watchStore(s.open(len(s.stores) + s.joined - 1))
}

// watchAll has a journal at each instance.
func (s *suite) watchAll() []*journal {
	var journals []*journal
	for i := range s.stores {
		journals = append(journals, s.watch(i))
	}
	return journals
}

func (j *journal) see(some []rooms.Change) {
	alone := j.inside.CompareAndSwap(false, true)
	runtime.Gosched() // a call beside this one gets its chance to show
	j.mu.Lock()
	j.overlap = j.overlap || !alone
	j.changes = append(j.changes, some...)
	close(j.more)
	j.more = make(chan struct{})
	j.mu.Unlock()
	j.inside.Store(false)
}

// seen is what was told up to now. One call at a time is part of the contract
// and checked here.
func (j *journal) seen() []rooms.Change {
	j.s.Helper()
	j.mu.Lock()
	changes, overlap := j.changes[:len(j.changes):len(j.changes)], j.overlap
	j.mu.Unlock()
	if overlap {
		j.s.Fatalf("a watcher was called while it was being called")
	}
	return changes
}

// await waits until what was told meets the condition.
func (j *journal) await(what string, met func([]rooms.Change) bool) []rooms.Change {
	j.s.Helper()
	timeout := time.NewTimer(j.s.patience)
	defer timeout.Stop()
	for {
		j.mu.Lock()
		more := j.more
		j.mu.Unlock()
		changes := j.seen()
		if met(changes) {
			return changes
		}
		select {
		case <-more:
		case <-timeout.C:
			j.s.Fatalf("waited in vain for %s; was told %s", what, describe(changes))
			return nil // not reached
		}
	}
}

func (j *journal) awaitCount(n int) []rooms.Change {
	j.s.Helper()
	return j.await(fmt.Sprintf("%d changes", n), func(c []rooms.Change) bool { return len(c) >= n })
}

// same fails unless exactly these changes were told, in this order.
func (s *suite) same(what string, got, want []rooms.Change) {
	s.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = sameChange(got[i], want[i])
	}
	if !ok {
		s.Fatalf("%s: was told\n%s\nwant\n%s", what, describe(got), describe(want))
	}
}

// present fails unless exactly these entries were told, in any order.
func (s *suite) present(what string, got []rooms.Change, want []rooms.Change) {
	s.Helper()
	byPlace := func(a, b rooms.Change) int {
		return cmp.Or(cmp.Compare(a.Entry.List, b.Entry.List), cmp.Compare(a.Entry.Key, b.Entry.Key))
	}
	s.same(what, slices.SortedFunc(slices.Values(got), byPlace), slices.SortedFunc(slices.Values(want), byPlace))
}

// sameChange compares what the contract promises: of a removed entry that is
// the place and the reason.
func sameChange(a, b rooms.Change) bool { return account(a) == account(b) }

// account is what the contract promises of a change, as text.
func account(c rooms.Change) string {
	e := c.Entry
	switch {
	case c.Message != nil:
		return fmt.Sprintf("message %+v", *c.Message)
	case c.SignOut != "":
		return fmt.Sprintf("sign out %q", c.SignOut)
	case c.Removed:
		return fmt.Sprintf("removed %q (%s)", e.EntryKey, c.Reason)
	}
	return fmt.Sprintf("put %q, %s of %s and %q, joined %d, registered %d, visible %d, status %q of %d",
		e.EntryKey, e.Data, e.Instance, e.UserID, e.JoinedAt, e.RegisteredAt, e.VisibleAt, e.Status, e.StatusAt)
}

func describe(changes []rooms.Change) string {
	out := fmt.Sprintf("%d changes", len(changes))
	for i, c := range changes {
		if i == 20 {
			return out + "\n  …"
		}
		out += fmt.Sprintf("\n  %.300s", account(c))
	}
	return out
}

func put(e rooms.Entry) rooms.Change { return rooms.Change{Entry: e} }

func removed(key rooms.EntryKey, reason rooms.Reason) rooms.Change {
	return rooms.Change{Entry: rooms.Entry{EntryKey: key}, Removed: true, Reason: reason}
}
