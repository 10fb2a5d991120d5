package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

func isUnavailable(err error) bool {
	var refusal *rooms.Refusal
	return errors.As(err, &refusal) && refusal.Code == "unavailable"
}

// Open does not wait for Redis. As long as Redis is away nothing is said and no
// record is read; what else happens is there when it is back. The log tells each
// turn once.
func TestRedisComesLater(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	var log adaptertest.Log
	a := open(t, Options{URL: server.URL(), Instance: "a", Log: log.Logger()})
	for round := range 2 {
		server.Kill()
		a.enter(10 + round)
		if len(a.view()) != 10+round {
			t.Fatalf("without Redis it has %d of its own", len(a.view()))
		}
		a.eventually("many attempts", func() bool { return a.Stats().Errors > uint64(20+30*round) })
		_, recordErr := a.Store.History(t.Context(), "1")
		if err := a.say("1", "x"); !isUnavailable(err) || !isUnavailable(recordErr) || a.Ready() == nil {
			t.Errorf("without Redis: say: %v, history: %v, ready: %v", err, recordErr, a.Ready())
		}
		server.Restart() // empty
		agree(t, a)
	}
	got := log.String()
	if strings.Count(got, "Redis is gone") != 2 || strings.Count(got, "Redis is back") != 2 || strings.Count(got, "\n") != 4 {
		t.Errorf("the log says:\n%s", got)
	}
}

// Histories outlive the instances, and Redis' own restart.
func TestHistoryStays(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	for k := range 150 {
		a.mustSay("1", fmt.Sprint(k))
	}
	awaitMessages(t, "1", 150, a)
	want := a.messages("1")[50:]
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := open(t, Options{URL: server.URL(), Instance: "b"})
	for _, when := range []string{"the instance's end", "Redis' restart"} {
		b.eventually("ready", func() bool { return b.Ready() == nil })
		if kept, err := b.History(t.Context(), "1"); err != nil || !slices.Equal(kept, want) {
			t.Errorf("after %s %d messages are kept, %v; want the last 100", when, len(kept), err)
		}
		resyncs := b.Stats().Resyncs
		server.Kill()
		server.Restart()
		b.eventually("a resync", func() bool { return b.Stats().Resyncs > resyncs })
	}
	b.eventually("a message", func() bool { return b.say("1", "new") == nil }) // once the lease is renewed
	awaitMessages(t, "1", 1, b)                                                // no old ones
	if id := b.messages("1")[0].ID; id <= want[len(want)-1].ID {
		t.Errorf("after the restart came id %d, before it was %d", id, want[len(want)-1].ID)
	}
}

// awaitMessages waits until everybody was told n messages of a room, and fails
// unless they are the same, their ids rise, and none comes after.
func awaitMessages(t *testing.T, room string, n int, all ...*instance) {
	t.Helper()
	for _, i := range all {
		i.eventually(fmt.Sprint(n, " messages"), func() bool { return len(i.messages(room)) >= n })
	}
	first := all[0].messages(room)
	for _, i := range all {
		if got := i.messages(room); !slices.Equal(got, first) || len(got) != n {
			t.Errorf("%s was told %d messages, %s %d, want %d; and the same", i.instance, len(got), all[0].instance, len(first), n)
		}
	}
	if !slices.IsSortedFunc(first, func(a, b rooms.ChatMessage) int { return int(a.ID - b.ID) }) {
		t.Error("ids do not rise")
	}
}

// Connections are cut again and again: nobody is shown to leave, and what was
// said, and whom somebody signed out, everybody is told exactly once, though
// every cut means a resync.
func TestConnectionsKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	const rounds = 30
	accepted := 0
	var all []*instance
	for _, id := range []string{"a", "b", "c"} {
		// With so many cuts a busy machine may not renew a lease in time.
		timing := Timing{Lease: adaptertest.Patience, Silence: adaptertest.Patience}
		all = append(all, open(t, Options{URL: server.URL(), Instance: id, Timing: timing}))
		all[len(all)-1].enter(20)
	}
	agree(t, all...)
	for round := range rounds {
		server.Do("CLIENT", "KILL", "TYPE", "pubsub")
		server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		for _, i := range all {
			// So many cuts in a row may pass for the end of Redis.
			if err := i.say("1", fmt.Sprint(round)); err == nil {
				accepted++
			} else if !isUnavailable(err) {
				t.Fatal(err)
			}
			i.SignOut(fmt.Sprint(round))
			i.put(fmt.Sprintf("%s/%d", i.instance, round%20), fmt.Sprintf(`{"round":%d}`, round))
		}
		time.Sleep(50 * time.Millisecond) // the fault's pace, nothing is awaited
	}
	agree(t, all...)
	if accepted < rounds {
		t.Errorf("only %d of %d messages were accepted", accepted, 3*rounds)
	}
	awaitMessages(t, "1", accepted, all...)
	resyncs := uint64(0)
	for _, i := range all {
		i.eventually("sign-outs", func() bool { return len(i.signOuts()) >= 2*rounds }) // of the others
		resyncs += i.Stats().Resyncs
		if n := len(i.signOuts()); n != 2*rounds {
			t.Errorf("%s was told of %d sign-outs, want %d", i.instance, n, 2*rounds)
		}
	}
	if resyncs < 5 {
		t.Errorf("%d resyncs: the cuts were not felt", resyncs)
	}
	nobodyLeft(t, all...)
}

// A gate holds back the calls of scripts while it is locked.
type gate struct{ open chan struct{} }

func (g gate) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (g gate) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if cmd.Name() == "evalsha" {
			<-g.open
		}
		return next(ctx, cmd)
	}
}

func (g gate) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// What waits for Redis is bounded. Nothing that was accepted is lost, and
// changes that are dropped are rewritten in the end.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var log adaptertest.Log
	a := open(t, Options{URL: server.URL(), Instance: "a", Log: log.Logger()})
	b := open(t, Options{URL: server.URL(), Instance: "b"})
	a.enter(20)
	agree(t, a, b)
	for name, content := range map[string]string{"many": "x", "long": strings.Repeat("x", 16_000)} {
		held := gate{make(chan struct{})}
		a.Client().AddHook(held)
		for k := range 18 { // these changes are dropped, and nothing repeats them
			a.put(fmt.Sprintf("a/%d", k), fmt.Sprintf(`{"while":%q}`, name))
		}
		a.Remove(rooms.EntryKey{Key: "a/19"}, rooms.Closed)
		accepted := 0
		for a.say(name, content) == nil {
			accepted++
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
		most := 0
		for k := range 2 * minQueue {
			a.put("a/18", fmt.Sprintf(`{"n":%d}`, k))
			most = max(most, a.Stats().Queued)
		}
		if most > minQueue+2*20 || most < minQueue {
			t.Errorf("%s: %d changes were queued at most", name, most)
		}
		close(held.open)
		agree(t, a, b)
		awaitMessages(t, name, accepted, a, b)
		a.Store.mu.Lock()
		if a.own.messages != 0 || a.own.messageBytes != 0 {
			t.Errorf("%s: when all is written %d of %d bytes are accounted", name, a.own.messages, a.own.messageBytes)
		}
		a.Store.mu.Unlock()
	}
	if n, m := len(a.signOuts()), len(b.signOuts()); n != 0 || m != 0 || strings.Count(log.String(), "do not sign a user out") != 2 {
		t.Errorf("%d and %d sign-outs were told, and the log says:\n%s", n, m, log.String())
	}
}

// Close writes what is queued, and nothing after that.
func TestClose(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := openAll(t, server, 1, "a", "b")
	a, b := ab[0], ab[1]
	b.enter(500) // most of it is still queued when it closes
	b.Remove(rooms.EntryKey{Key: "b/0"}, rooms.SignedOut)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	agree(t, a)
	for k := range 500 {
		want, socket := rooms.Closed, fmt.Sprintf("b/%d", k)
		if k == 0 {
			want = rooms.SignedOut
		}
		if why := a.departures()[socket]; !slices.Equal(why, []rooms.Reason{want}) {
			t.Fatalf("%s left for %v, want %s", socket, why, want)
		}
	}
	if n := server.Do("ZCARD", "{rollcall}:instances"); n != int64(1) {
		t.Errorf("%v instances have a lease, want 1", n)
	}
	b.enter(1)
	if b.Ready() == nil || b.Stats().Queued > 0 {
		t.Errorf("a closed store is ready: %v, %d changes are queued", b.Ready(), b.Stats().Queued)
	}
}

// Having no connection on its channel is no death while it renews its lease:
// an access list may forbid channels, and more that can be done without.
func TestWithoutChannels(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "app", "on", ">secret", "~{rollcall}*", "resetchannels", "+@all", "-info", "-pubsub", "-memory")
	all := openAll(t, server, 10, "a", "b")
	all = append(all, open(t, Options{URL: "redis://app:secret@" + server.Addr(), Instance: "c"}))
	all[2].enter(10)
	agree(t, all...)
	if n := server.Do("PUBSUB", "NUMSUB", "{rollcall}:alive:c").([]any)[1]; n != int64(0) {
		t.Fatalf("%v listen on the channel, want none", n)
	}
	settle(all...)
	agree(t, all...)
	nobodyLeft(t, all...)
}
