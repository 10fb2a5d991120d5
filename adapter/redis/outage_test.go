package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"

	"rollcall/rooms"
)

// changesMeanwhile is what happens while Redis is away: own watchers see it at
// once.
func changesMeanwhile(t *testing.T, all ...*instance) {
	t.Helper()
	for k, i := range all {
		socket := fmt.Sprintf("meanwhile/%d", k)
		i.put(socket, `{"n":1}`)
		i.put(socket, `{"n":2}`)
		if i.view()[socket] != `{"n":2}` {
			t.Fatalf("%s does not see its own change while Redis is away", i.Instance())
		}
	}
}

func TestRedisRestartedWithItsData(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	all := opens(t, server.URL(), "a", "b", "c")
	for _, i := range all {
		i.enter(50)
	}
	agree(t, bound, all...)
	server.Kill()
	changesMeanwhile(t, all...)
	all[0].Remove(rooms.EntryKey{Key: "a/0"}, "signed_out")
	for _, i := range all { // every lease runs out meanwhile
		i.eventually("not ready", 2*bound, func() bool { return i.Ready() != nil && strings.Contains(i.Ready().Error(), "no lease") })
	}
	late := all[2].gate("evalsha") // the last one comes back after the others
	late.close()
	server.Restart()
	from := []uint64{all[0].renewals(), all[1].renewals()}
	eventually(t, "the others back", bound, func() bool { return all[0].renewals() > from[0]+1 && all[1].renewals() > from[1]+1 })
	late.open()
	t.Logf("repaired after %v", agree(t, bound, all...))
	settle(all...)
	agree(t, bound, all...)
	for _, i := range all[1:] { // its reason is lost on an instance that compares and sees only that it is gone
		if gone := i.departures(); len(gone) != 1 || len(gone["a/0"]) != 1 {
			t.Errorf("%s saw leave: %v", i.Instance(), gone)
		}
	}
	// What was queued is written as it was.
	messages := server.Client().XRange(t.Context(), "{rollcall}:stream", "-", "+").Val()
	if !slices.ContainsFunc(messages, func(m goredis.XMessage) bool {
		return m.Values["del"] == "0:a/0" && m.Values["why"] == "signed_out"
	}) {
		t.Error("the removal was not announced with its reason")
	}
}

func TestRedisRestartedEmpty(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	all := opens(t, server.URL(), "a", "b", "c")
	for _, i := range all {
		i.enter(400) // several batches to put back
	}
	agree(t, bound, all...)
	server.Kill()
	server.Empty()
	changesMeanwhile(t, all...)
	server.Restart()
	t.Logf("repaired after %v", agree(t, bound, all...))
	settle(all...)
	agree(t, bound, all...)
	nobodyLeft(t, all...)
}

// Whoever died while Redis was away, and of whom Redis knows nothing any more,
// is gone all the same.
func TestRedisRestartedEmptyAndAnInstanceLost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	all := opens(t, server.URL(), "a", "b", "c")
	for _, i := range all {
		i.enter(20)
	}
	agree(t, bound, all...)
	server.Kill()
	all[2].disconnect() // and does not come back
	server.Restart()
	t.Logf("repaired after %v", agree(t, bound, all[:2]...))
	for _, i := range all[:2] {
		leftOnce(t, i, "c/", 20, "instance_lost")
	}
}

// A Redis that was restored from an older backup has what is gone, and lacks
// what came since.
func TestRedisRestoredOlder(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	all := opens(t, server.URL(), "a", "b")
	for _, i := range all {
		i.enter(20)
	}
	agree(t, bound, all...)
	server.Do("SAVE")
	for _, i := range all {
		i.Remove(rooms.EntryKey{Key: i.Instance() + "/0"}, "closed")
		i.put(i.Instance()+"/1", `{"changed":true}`)
		i.put(i.Instance()+"/new", `{"new":true}`)
	}
	agree(t, bound, all...)
	for _, i := range all {
		i.forget()
	}
	server.Kill()
	changesMeanwhile(t, all...) // may be the first that the older data see
	server.Restart()
	t.Logf("repaired after %v", agree(t, bound, all...))
	nobodyLeft(t, all...)
	for _, i := range all {
		if i.puts["a/0"]+i.puts["b/0"] > 0 {
			t.Errorf("%s saw somebody return who had left", i.Instance())
		}
	}
}

// Every connection is cut again and again: nothing is lost, nobody is evicted.
func TestRedisConnectionsKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	all := opens(t, server.URL(), "a", "b", "c")
	for _, i := range all {
		i.enter(20)
	}
	agree(t, bound, all...)
	for round := range 30 {
		server.Do("CLIENT", "KILL", "TYPE", "pubsub")
		server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		for _, i := range all {
			i.put(fmt.Sprintf("%s/%d", i.Instance(), round%20), fmt.Sprintf(`{"round":%d}`, round))
		}
		time.Sleep(100 * time.Millisecond) // the fault's pace, nothing is awaited
	}
	t.Logf("repaired after %v", agree(t, bound, all...))
	nobodyLeft(t, all...)
}

func TestRedisAsleep(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	all := opens(t, server.URL(), "a", "b", "c")
	for _, i := range all {
		i.enter(20)
	}
	agree(t, bound, all...)
	asleep := make(chan struct{})
	go func() {
		defer close(asleep)
		// The test's own client gives up waiting for the answer before.
		_ = server.Client().Do(context.Background(), "DEBUG", "SLEEP", "4").Err()
	}()
	all[0].eventually("not ready", 2*bound, func() bool { return all[0].Ready() != nil })
	changesMeanwhile(t, all...)
	<-asleep
	server.Await(func(ctx context.Context) error { return server.Client().Ping(ctx).Err() })
	t.Logf("repaired after %v", agree(t, bound, all...))
	settle(all...)
	agree(t, bound, all...)
	nobodyLeft(t, all...)
}

// A reader that was away for longer than the stream reaches back notices that
// announcements are missing. Nothing but their numbers tells it.
func TestRedisStreamTrimmed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	b := open(t, Options{URL: server.URL(), Instance: "b", Timing: Timing{Lag: time.Hour}})
	a.enter(100)
	agree(t, bound, a, b)
	reading := b.gate("xread")
	reading.close()
	started := reading.count()
	b.eventually("the gate", bound, func() bool { return reading.count() > started })
	for k := range 50 {
		a.Remove(rooms.EntryKey{Key: fmt.Sprintf("a/%d", k)}, "signed_out")
	}
	a.put("a/99", `{"changed":true}`)
	a.eventually("written", bound, func() bool { return a.Stats().Queued == 0 })
	server.Do("XTRIM", "{rollcall}:stream", "MAXLEN", "1")
	resyncs := b.Stats().Resyncs
	reading.open()
	t.Logf("repaired after %v", agree(t, bound, a, b))
	if n := b.Stats().Resyncs; n != resyncs+1 {
		t.Errorf("it took %d resyncs, want 1", n-resyncs)
	}
	if n := len(b.departures()); n != 50 {
		t.Errorf("%d left, want 50", n)
	}
}

// A reader that does not get on is noticed though no announcement reaches it.
func TestRedisStreamLost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	b := open(t, Options{URL: server.URL(), Instance: "b"})
	a.enter(10)
	agree(t, bound, a, b)
	reading := b.gate("xread")
	reading.close()
	started := reading.count()
	b.eventually("the gate", bound, func() bool { return reading.count() > started })
	a.Remove(rooms.EntryKey{Key: "a/0"}, "closed")
	a.eventually("written", bound, func() bool { return a.Stats().Queued == 0 })
	server.Do("DEL", "{rollcall}:stream")
	reading.open()
	t.Logf("repaired after %v", agree(t, bound, a, b))
}

func TestRedisNumbersGoBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := []*instance{
		open(t, Options{URL: server.URL(), Instance: "a"}),
		open(t, Options{URL: server.URL(), Instance: "b"}),
	}
	ab[0].enter(10)
	agree(t, bound, ab...)
	resyncs := ab[1].Stats().Resyncs
	server.Do("SET", "{rollcall}:seq", "3")
	ab[1].eventually("a resync", bound, func() bool { return ab[1].Stats().Resyncs > resyncs })
	ab[0].put("a/after", `{}`)
	agree(t, bound, ab...)
	nobodyLeft(t, ab...)
}

// Entries of ours that somebody took out of Redis, or put there, are noticed.
func TestRedisDrift(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	a.enter(10)
	agree(t, bound, a)
	server.Do("HDEL", "{rollcall}:users", "a/1", "a/2")
	server.Do("HDEL", "{rollcall}:sockets:a", "0:a/1", "0:a/2")
	a.eventually("drift", bound, func() bool { return a.Stats().Drift == 2 })
	agree(t, bound, a)
	a.eventually("no drift", bound, func() bool { return a.Stats().Drift == 0 })
	nobodyLeft(t, a)
}

// Open does not wait for Redis, and the log tells each turn once.
func TestRedisComesLater(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	var log adaptertest.Log
	a := open(t, Options{URL: server.URL(), Instance: "a", Log: log.Logger()})
	a.enter(10)
	if len(a.view()) != 10 || a.Ready() == nil {
		t.Fatalf("without Redis it has %d of its own, ready: %v", len(a.view()), a.Ready())
	}
	a.eventually("many attempts", 2*bound, func() bool { return a.Stats().Errors > 20 })
	server.Restart()
	t.Logf("ready after %v", agree(t, bound, a))
	server.Kill()
	a.eventually("many more", 2*bound, func() bool { return a.Stats().Errors > 50 })
	server.Restart()
	agree(t, bound, a)
	got := log.String()
	if strings.Count(got, "Redis is gone") != 2 || strings.Count(got, "Redis is back") != 2 || strings.Count(got, "\n") != 4 {
		t.Errorf("the log says:\n%s", got)
	}
}

// Changes that pile up without Redis are bounded, and the end of it is right.
func TestRedisQueueOverflow(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	b := open(t, Options{URL: server.URL(), Instance: "b"})
	a.enter(20)
	agree(t, bound, a, b)
	writing := a.gate("evalsha")
	writing.close()
	most := 0
	for k := range 18 { // these changes are dropped, and nothing repeats them
		a.put(fmt.Sprintf("a/%d", k), `{"changed":true}`)
	}
	a.Remove(rooms.EntryKey{Key: "a/19"}, "closed")
	for k := range 2 * minQueue {
		a.put("a/18", fmt.Sprintf(`{"n":%d}`, k))
		most = max(most, a.Stats().Queued)
	}
	if most > minQueue+2*20 || most < minQueue {
		t.Errorf("%d changes were queued at most", most)
	}
	writing.open()
	agree(t, bound, a, b)
}
