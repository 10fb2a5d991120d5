package redis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/adapter"
	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

func say(t *testing.T, i *instance, room, content string) {
	t.Helper()
	if err := i.say(room, content); err != nil {
		t.Fatalf("%s may not say %q: %v", i.Instance(), content, err)
	}
}

func (i *instance) say(room, content string) error {
	_, err := i.PostMessage(rooms.ChatPost{Room: room, Username: "somebody", Content: content})
	return err
}

// heard is the messages of a room that an instance was told.
func (i *instance) heard(room string) []rooms.ChatMessage {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(i.said), func(m rooms.ChatMessage) bool { return m.Room != room })
}

func (i *instance) contents(room string) []string {
	var out []string
	for _, m := range i.heard(room) {
		out = append(out, m.Content)
	}
	return out
}

// sameMessages waits until everybody has heard n messages, and fails unless
// they are the same, their ids rise, and none comes after.
func sameMessages(t *testing.T, room string, n int, all ...*instance) {
	t.Helper()
	for _, i := range all {
		i.eventually(fmt.Sprint(n, " messages"), 2*bound, func() bool { return len(i.heard(room)) >= n })
	}
	first := all[0].heard(room)
	for _, i := range all {
		heard := i.heard(room)
		if !slices.Equal(heard, first) || len(heard) != n {
			t.Errorf("%s heard %d messages, %s %d, want %d; and the same", i.Instance(), len(heard), all[0].Instance(), len(first), n)
		}
		if !slices.IsSortedFunc(heard, func(a, b rooms.ChatMessage) int { return int(a.ID - b.ID) }) {
			t.Errorf("%s heard ids that do not rise", i.Instance())
		}
	}
}

// kept is a room's history.
func (i *instance) kept(room string) []rooms.ChatMessage {
	i.t.Helper()
	kept, err := i.History(i.t.Context(), room)
	if err != nil {
		i.t.Fatalf("%s: history: %v", i.Instance(), err)
	}
	return kept
}

func isUnavailable(err error) bool {
	var refusal *rooms.Refusal
	return errors.As(err, &refusal) && refusal.Code == "unavailable"
}

// Histories outlive the instances, and Redis' own restart.
func TestRedisHistoryStays(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	for k := range 150 {
		say(t, a, "1", fmt.Sprint(k))
	}
	sameMessages(t, "1", 150, a)
	want := a.heard("1")[50:]
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := open(t, Options{URL: server.URL(), Instance: "b"})
	if got := b.kept("1"); !slices.Equal(got, want) {
		t.Errorf("after the instance's end %d messages are kept, want the last 100", len(got))
	}
	if got := b.heard("1"); len(got) != 0 {
		t.Errorf("a new instance heard %d old messages", len(got))
	}
	server.Kill()
	server.Restart()
	b.eventually("ready", bound, func() bool { return b.Stats().Resyncs > 0 && b.Ready() == nil })
	if got := b.kept("1"); !slices.Equal(got, want) {
		t.Errorf("after Redis' restart %d messages are kept, want the last 100", len(got))
	}
	say(t, b, "1", "new")
	sameMessages(t, "1", 1, b)
	if id := b.heard("1")[0].ID; id <= want[len(want)-1].ID {
		t.Errorf("after the restart came id %d, before it was %d", id, want[len(want)-1].ID)
	}
}

// Without Redis nothing is said; when it comes back empty, the past is gone
// and ids rise on, even when its clock is behind.
func TestRedisMessagesAndOutage(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := opens(t, server.URL(), "a", "b")
	a, b := ab[0], ab[1]
	// As if this Redis were an hour ahead of the next.
	ahead := time.Now().Add(time.Hour).UnixMilli()
	server.Do("HSET", "{rollcall}:messages", "last", ahead)
	say(t, a, "1", "before")
	sameMessages(t, "1", 1, ab...)
	if id := a.heard("1")[0].ID; id <= ahead {
		t.Fatalf("id %d came after %d", id, ahead)
	}
	server.Kill()
	server.Empty()
	accepted := 0 // until it is known
	a.eventually("refusal", 2*bound, func() bool {
		err := a.say("1", fmt.Sprint("meanwhile ", accepted))
		if err == nil {
			accepted++
		} else if !isUnavailable(err) {
			t.Fatalf("refused with %v", err)
		}
		return err != nil
	})
	if err := a.say("1", "x"); !isUnavailable(err) {
		t.Errorf("refused with %v", err)
	}
	a.eventually("no history", 2*bound, func() bool { _, err := a.History(t.Context(), "1"); return isUnavailable(err) })
	a.SignOut("7")
	server.Restart()
	agree(t, bound, ab...)
	say(t, b, "1", "after")
	sameMessages(t, "1", 1+accepted+1, ab...)
	a.eventually("a history", bound, func() bool { _, err := a.History(t.Context(), "1"); return err == nil })
	if kept := a.kept("1"); len(kept) != accepted+1 && accepted < adapter.MaxHistory {
		t.Errorf("%d messages are kept, want those since: %d", len(kept), accepted+1)
	}
	ab[1].eventually("the sign-out", bound, func() bool { return len(ab[1].signOuts()) == 1 })
}

func (i *instance) signOuts() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.signedOut)
}

// Connections are cut again and again: what was said, and whom somebody signed
// out, everybody hears exactly once, though every cut means a resync.
func TestRedisMessagesWhileConnectionsAreKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	all := opens(t, server.URL(), "a", "b", "c")
	const rounds = 30
	accepted := 0
	for round := range rounds {
		server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		for _, i := range all {
			// So many cuts in a row may pass for the end of Redis.
			if err := i.say("1", fmt.Sprint(round)); err == nil {
				accepted++
			} else if !isUnavailable(err) {
				t.Fatal(err)
			}
			i.SignOut(fmt.Sprint(round))
			i.put(i.Instance()+"/0", fmt.Sprintf(`{"round":%d}`, round))
		}
		time.Sleep(50 * time.Millisecond) // the fault's pace, nothing is awaited
	}
	agree(t, bound, all...)
	t.Logf("%d of %d messages were accepted", accepted, 3*rounds)
	if accepted < rounds {
		t.Errorf("only %d of %d messages were accepted", accepted, 3*rounds)
	}
	sameMessages(t, "1", accepted, all...)
	resyncs := uint64(0)
	for _, i := range all {
		i.eventually("sign-outs", bound, func() bool { return len(i.signOuts()) >= 2*rounds }) // of the others
		resyncs += i.Stats().Resyncs
		if n := len(i.signOuts()); n != 2*rounds {
			t.Errorf("%s heard of %d sign-outs, want %d", i.Instance(), n, 2*rounds)
		}
	}
	if resyncs < 5 {
		t.Errorf("%d resyncs: the cuts were not felt", resyncs)
	}
}

// What waits for Redis is bounded. Nothing that was accepted is lost, also if
// changes of entries pile up and are dropped.
func TestRedisMessagesPileUp(t *testing.T) {
	server := redistest.Start(t)
	var log adaptertest.Log
	a := open(t, Options{URL: server.URL(), Instance: "a", Log: log.Logger()})
	ab := []*instance{a, open(t, Options{URL: server.URL(), Instance: "b"})}
	a.enter(1)
	agree(t, bound, ab...)
	for name, content := range map[string]string{"many": "x", "long": strings.Repeat("x", 16_000)} {
		writing := a.gate("evalsha")
		writing.close()
		accepted := 0
		for ; accepted < 2*minQueue; accepted++ {
			if err := a.say(name, content); err != nil {
				if !isUnavailable(err) {
					t.Errorf("refused with %v", err)
				}
				break
			}
		}
		for a.say(name, "") == nil { // shorter ones may still fit
			accepted++
		}
		a.SignOut(strings.Repeat("x", 100))
		a.Store.mu.Lock()
		messages, bytes := a.own.messages, a.own.messageBytes
		a.Store.mu.Unlock()
		if accepted < 400 || messages > maxMessages || bytes > maxMessageBytes {
			t.Errorf("%s: %d were accepted, %d of %d bytes wait", name, accepted, messages, bytes)
		}
		for k := range 2 * minQueue {
			a.put("a/0", fmt.Sprintf(`{"n":%d}`, k))
		}
		if n := a.Stats().Queued; n > minQueue+2 {
			t.Errorf("%s: %d changes are queued", name, n)
		}
		writing.open()
		agree(t, 2*bound, ab...)
		sameMessages(t, name, accepted, ab...)
		a.Store.mu.Lock()
		if a.own.messages != 0 || a.own.messageBytes != 0 {
			t.Errorf("%s: when all is written %d of %d bytes are accounted", name, a.own.messages, a.own.messageBytes)
		}
		a.Store.mu.Unlock()
	}
	if n, m := len(a.signOuts()), len(ab[1].signOuts()); n != 0 || m != 0 || strings.Count(log.String(), "do not sign a user out") != 2 {
		t.Errorf("%d and %d sign-outs were heard of, and the log says:\n%s", n, m, log.String())
	}
}
