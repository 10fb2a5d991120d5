package adaptertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
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
	m := memory.New()
	m.BoundHistories(MaxHistories())
	c := NewCluster(m)
	return func(i int) Store { return c.Open(Instance(i)) }
}

// The checks that broken stores fail.
const (
	changes     = "put, replace and remove, and nobody is told what changes nothing"
	fields      = "every field arrives, byte for byte"
	timeIsOne   = "time rises with every call, on every instance, and is one"
	snapshot    = "a new instance is told what there is"
	joining     = "nothing is lost or doubled around a snapshot"
	orderOfOne  = "each socket's changes keep their order"
	end         = "stopped is stopped"
	apart       = "lists are apart"
	statuses    = "statuses are carried, and hiding is no removal"
	ordered     = "everybody is told all messages once, in the order of their ids"
	wholeText   = "messages arrive whole"
	behind      = "a message comes after what its sender did before"
	kept        = "the last messages of each room are kept"
	once        = "the same nonce is the same message"
	fair        = "nobody pushes out the histories of those who take less"
	signedOut   = "the others are told of a sign-out once"
	remembered  = "activity is remembered"
	whatIsShown = "only what shows activity counts"
)

type fault struct {
	name  string
	fails string
	spoil func(b *broken)
}

var brokenStores = []fault{
	{"loses a change", joining, spoils(eachChange(loseSome[rooms.Change]))},
	{"doubles a change", joining, spoils(eachChange(doubleSome[rooms.Change]))},
	{"swaps two changes", orderOfOne, spoils(swap)},
	{"tells its own too", changes, tellsOwn},
	{"re-encodes users", fields, edits(func(c *rooms.Change) {
		var user any
		_ = json.Unmarshal(c.Entry.Data, &user)
		c.Entry.Data, _ = json.Marshal(user)
	})},
	{"compacts users", fields, edits(func(c *rooms.Change) {
		var compact bytes.Buffer
		_ = json.Compact(&compact, c.Entry.Data)
		c.Entry.Data = compact.Bytes()
	})},
	{"forgets reasons", changes, edits(func(c *rooms.Change) {
		if c.Removed {
			c.Reason = rooms.Closed
		}
	})},
	{"forgets the user's identity", fields, edits(func(c *rooms.Change) { c.Entry.UserID = c.Entry.Key })},
	{"forgets when a user was registered", fields, edits(func(c *rooms.Change) { c.Entry.RegisteredAt = 0 })},
	{"forgets since when a user is visible", fields, edits(func(c *rooms.Change) { c.Entry.VisibleAt = 0 })},
	{"tells a time twice", timeIsOne, tells(time.Millisecond, 0)},
	{"tells another time", timeIsOne, tells(time.Microsecond, time.Hour)},
	{"tells of unknown removals", changes, func(b *broken) {
		b.remove = func(k rooms.EntryKey, why rooms.Reason) { b.Put(rooms.Entry{EntryKey: k}); b.Store.Remove(k, why) }
	}},
	{"has no snapshot", snapshot, starts(0)},
	{"keeps one entry too few", snapshot, starts(3998)},
	{"never stops", end, func(b *broken) {
		b.watch = func(f func([]rooms.Change)) func() { b.Store.Watch(f); return func() {} }
	}},
	{"calls a watcher twice at a time", orderOfOne, overlaps},
	{"forgets to remove", snapshot, func(b *broken) {
		b.remove = func(k rooms.EntryKey, why rooms.Reason) { b.Store.Remove(k, why); b.Put(rooms.Entry{EntryKey: k}) }
	}},
	{"has one list", apart, edits(func(c *rooms.Change) { c.Entry.List = "" })},
	{"takes two entries for one", apart, joinsKeys},
	{"forgets the status", statuses, edits(func(c *rooms.Change) { c.Entry.Status = "" })},
	{"forgets when it was chosen", statuses, edits(func(c *rooms.Change) { c.Entry.StatusAt = 0 })},
	{"tells hiding as a removal", statuses, edits(func(c *rooms.Change) { c.Removed = c.Entry.Status == rooms.Hidden })},

	{"loses a message", ordered, spoils(eachChange(loseSome[rooms.Change]))},
	{"doubles a message", ordered, spoils(eachChange(doubleSome[rooms.Change]))},
	{"gives each two messages one id", ordered, editsMessages(func(m *rooms.ChatMessage) { m.ID /= 8 })},
	{"swaps two messages", ordered, spoils(swapMessages)},
	{"trims messages", wholeText, editsMessages(func(m *rooms.ChatMessage) { m.Content = strings.TrimSpace(m.Content) })},
	{"has no clock", wholeText, editsMessages(func(m *rooms.ChatMessage) { m.At = 0 })},
	{"tells messages before entries", behind, spoils(entriesLate)},
	{"keeps a message too many", kept, keeps(func(all []rooms.ChatMessage) []rooms.ChatMessage { return append(all[:1:1], all...) })},
	{"keeps a message too few", kept, keeps(func(all []rooms.ChatMessage) []rooms.ChatMessage { return all[1:] })},
	{"keeps the newest first", kept, keeps(func(all []rooms.ChatMessage) []rooms.ChatMessage { slices.Reverse(all); return all })},
	{"has one history", kept, func(b *broken) {
		b.history = func(ctx context.Context, _ string) ([]rooms.ChatMessage, error) { return b.Store.History(ctx, "many") }
	}},
	{"knows no nonces", once, posts(func(m *rooms.ChatPost) { m.Nonce = "" })},
	{"forgets by use alone", fair, posts(func(m *rooms.ChatPost) { m.From = rooms.Origin{} })},
	{"knows addresses alone", fair, posts(func(m *rooms.ChatPost) { m.From.Client = "" })},
	{"tells a sign-out twice", signedOut, func(b *broken) {
		b.signOut = func(user string) { b.Store.SignOut(user); b.Store.SignOut(user) }
	}},

	{"lets time go back", remembered, remembers(func(_, at, now int64) int64 { return notTooOld(min(at, now), now) })},
	{"remembers for ever", remembered, remembers(func(before, at, now int64) int64 { return max(before, min(at, now)) })},
	{"believes in the future", remembered, remembers(func(before, at, now int64) int64 { return max(before, notTooOld(at, now)) })},
	{"takes every put for activity", whatIsShown, shows(func(rooms.Entry) bool { return true })},
	{"sees the hidden", whatIsShown, shows(func(e rooms.Entry) bool { return e.Status == rooms.Hidden })},
	{"sees who is in another list", whatIsShown, shows(func(e rooms.Entry) bool { return e.List != rooms.Online })},
	{"remembers sockets", whatIsShown, func(b *broken) {
		b.active = func(ctx context.Context, user string) (int64, error) {
			if user == "socket" {
				return time.Now().UnixMilli(), nil
			}
			return b.Store.LastActive(ctx, user)
		}
	}},
	{"takes no put for activity", whatIsShown, func(b *broken) {
		b.active = func(context.Context, string) (int64, error) { return 0, nil }
	}},
}

// Faults of one instance only.
var brokenInstances = []fault{
	{"is not told its own messages", ordered, hides(func(own bool, _ rooms.Change) bool { return own })},
	{"is told its own messages only", ordered, hides(func(own bool, c rooms.Change) bool { return c.Message != nil && !own })},
	{"is told no sign-out", signedOut, hides(func(_ bool, c rooms.Change) bool { return c.SignOut != "" })},
	{"keeps its history to itself", kept, func(b *broken) {
		own := memory.New()
		b.post = func(m rooms.ChatPost) (<-chan int64, error) { _, _ = own.PostMessage(m); return b.Store.PostMessage(m) }
		b.history = own.History
	}},
	{"keeps activity to itself", remembered, func(b *broken) { own := memory.New(); b.touch, b.active = own.Touch, own.LastActive }},
	{"forgets the statuses of others", statuses, edits(func(c *rooms.Change) { c.Entry.Status = "" })},
}

func TestBrokenStoresFail(t *testing.T) {
	for _, f := range brokenStores {
		t.Run(f.name, func(t *testing.T) { f.mustFail(t, func(int) bool { return true }) })
	}
	for _, f := range brokenInstances {
		t.Run("an instance "+f.name, func(t *testing.T) { f.mustFail(t, func(i int) bool { return i == 1 }) })
	}
}

// mustFail fails the test unless a cluster of which some stores are broken fails
// the fault's check.
func (f fault) mustFail(t *testing.T, isBroken func(i int) bool) {
	t.Parallel()
	n := slices.IndexFunc(contract, func(c check) bool { return c.name == f.fails })
	if n < 0 {
		t.Fatalf("there is no check %q", f.fails)
	}
	member := cluster(t)
	expectFailure(t, f.fails, func(r reporter) {
		contract[n].run(newSuite(r, func(i int) Store {
			if !isBroken(i) {
				return member(i)
			}
			b := newBroken(member(i))
			f.spoil(b)
			return b
		}, contract[n].instances, time.Second))
	})
}

// expectFailure fails the test unless the check complains.
func expectFailure(t *testing.T, name string, check func(reporter)) {
	t.Helper()
	var r recorder
	done := make(chan struct{})
	go func() { // of its own, for Fatalf to end
		defer close(done)
		check(&r)
	}()
	<-done
	if r.failure == "" {
		t.Fatalf("the check %q passes", name)
	}
	t.Logf("%s: %.120s", name, strings.ReplaceAll(r.failure, "\n", " "))
}

type recorder struct{ failure string }

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
