package redis

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// announcedGone is how often an instance's end was announced.
func announcedGone(t *testing.T, s *redistest.Server, id string) int {
	t.Helper()
	messages, err := s.Client().XRange(context.Background(), "{rollcall}:stream", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range messages {
		if m.Values["gone"] == id {
			n++
		}
	}
	return n
}

// A killed process is noticed by its closed connections, long before its
// lease runs out; by two others at once, and announced once.
func TestRedisKilledInstance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := opens(t, server.URL(), "a", "b")
	ab[0].enter(3)
	p := startProcess(t, server.URL(), "c", 200)
	for _, i := range ab {
		i.eventually("all", bound, func() bool { return len(i.view()) == 203 })
	}
	p.kill()
	t.Logf("gone after %v", agree(t, bound, ab...)) // how soon: TestSimulatedCrash
	for _, i := range ab {
		leftOnce(t, i, "c/", 200, rooms.InstanceLost)
	}
	if n := announcedGone(t, server, "c"); n != 1 {
		t.Errorf("its end was announced %d times", n)
	}
}

// A stopped process keeps its connections: its lease runs out. When it goes on
// it puts its sockets back by itself.
func TestRedisStoppedInstanceComesBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := opens(t, server.URL(), "a", "b")
	ab[0].enter(3)
	p := startProcess(t, server.URL(), "c", 50)
	for _, i := range ab {
		i.eventually("all", bound, func() bool { return len(i.view()) == 53 })
	}
	p.signal(syscall.SIGSTOP)
	t.Logf("gone after %v", agree(t, bound, ab...))
	if n := announcedGone(t, server, "c"); n != 1 {
		t.Errorf("its end was announced %d times", n)
	}
	p.signal(syscall.SIGCONT)
	for _, i := range ab {
		t.Logf("back after %v", i.eventually("all again", bound, func() bool { return len(i.view()) == 53 }))
		leftOnce(t, i, "c/", 50, rooms.InstanceLost)
	}
}

// Having no connection on its channel is no death while it renews its lease:
// an access list may forbid channels, and more that can be done without.
func TestRedisWithoutChannels(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "app", "on", ">secret", "~{rollcall}*", "resetchannels", "+@all", "-info", "-pubsub", "-memory")
	all := opens(t, server.URL(), "a", "b")
	all = append(all, open(t, Options{URL: "redis://app:secret@" + server.Addr(), Instance: "c"}))
	for _, i := range all {
		i.enter(10)
	}
	agree(t, bound, all...)
	if n := server.Do("PUBSUB", "NUMSUB", "{rollcall}:alive:c").([]any)[1]; n != int64(0) {
		t.Fatalf("%v listen on the channel, want none", n)
	}
	settle(all...)
	agree(t, bound, all...)
	nobodyLeft(t, all...)
}

// An instance that was evicted and lives puts itself back, as soon as it hears of it.
func TestRedisGivenUpWrongly(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	b := open(t, Options{URL: server.URL(), Instance: "b"})
	a.enter(10)
	b.enter(10)
	agree(t, bound, a, b)
	if _, err := a.evict(t.Context(), "b", "", "", rooms.InstanceLost); err != nil {
		t.Fatal(err)
	}
	a.eventually("b's end", bound, func() bool { return len(a.departures()) == 10 })
	agree(t, bound, a, b)
	leftOnce(t, a, "b/", 10, rooms.InstanceLost)
	nobodyLeft(t, b)
}

// An instance that starts under a dead one's name is another: the old one's
// entries go, the new one's stay.
func TestRedisRestartUnderTheSameName(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := opens(t, server.URL(), "a")[0]
	first, second := InstanceID("web.1"), InstanceID("web.1")
	old := startProcess(t, server.URL(), first, 5)
	a.eventually("the first", bound, func() bool { return len(a.view()) == 5 })
	old.kill()
	again := open(t, Options{URL: server.URL(), Instance: second})
	again.enter(7)
	agree(t, bound, a, again)
	leftOnce(t, a, first+"/", 5, rooms.InstanceLost)
}

func TestRedisHandsOver(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := opens(t, server.URL(), "a", "b")
	a, b := ab[0], ab[1]
	a.enter(1)
	agree(t, bound, ab...)
	b.enter(500) // most of it is still queued when it closes
	b.Remove(rooms.EntryKey{Key: "b/0"}, rooms.SignedOut)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	agree(t, bound, a)
	if why := a.departures()["b/0"]; len(why) != 1 || why[0] != rooms.SignedOut {
		t.Errorf("the removal before the end was for %v", why)
	}
	for k := range 499 {
		socket := fmt.Sprintf("b/%d", k+1)
		if why := a.departures()[socket]; len(why) != 1 || why[0] != rooms.Closed {
			t.Fatalf("%s left for %v", socket, why)
		}
	}
	if n := server.Do("ZCARD", "{rollcall}:instances"); n != int64(1) {
		t.Errorf("%v instances have a lease, want 1", n)
	}
	if b.Ready() == nil {
		t.Error("a closed store says it is ready")
	}
	b.enter(1) // and changes nothing any more
	if n := server.Do("HEXISTS", "{rollcall}:users", "b/0"); n != int64(0) || b.Stats().Queued > 0 {
		t.Errorf("a closed store wrote: %v, %d changes are queued", n, b.Stats().Queued)
	}
}

// Leases are Redis' time alone.
func TestRedisClocksDiffer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var all []*instance
	for id, off := range map[string]time.Duration{"early": -time.Minute, "late": time.Minute, "right": 0} {
		all = append(all, open(t, Options{URL: server.URL(), Instance: id, Timing: Timing{
			Now: func() time.Time { return time.Now().Add(off) },
		}}))
	}
	for _, i := range all {
		i.enter(5)
	}
	agree(t, bound, all...)
	settle(all...)
	agree(t, bound, all...)
	nobodyLeft(t, all...)
}

// bareStore is as much of a store as sends batches.
func bareStore(server *redistest.Server) *Store {
	r := &Store{instance: "b", prefix: "{rollcall}", scripts: productionScripts, server: liveServer{server.Client()}}
	r.timing.setDefaults()
	return r
}

// An instance that is evicted in the middle of putting back is not whole
// because the rest arrives: it has to begin anew.
func TestRedisLostWhileRestoring(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := bareStore(server)
	inState := func() state { return state(fmt.Sprint(server.Do("HGET", "{rollcall}:progress:b", "state"))) }
	step := func(want bool, ops ...op) {
		t.Helper()
		done, err := client.apply(t.Context(), ops)
		if err != nil {
			t.Fatal(err)
		}
		if done.gapless != want {
			t.Errorf("gapless: %t", done.gapless)
		}
	}
	step(true, op{kind: opReset, version: 1}, op{kind: opPut, version: 2, place: rooms.EntryKey{Key: "s"}, entry: rooms.Entry{EntryKey: rooms.EntryKey{Key: "s"}, Instance: "b", UserID: "u", Data: []byte("{}")}})
	if _, err := client.evict(t.Context(), "b", signClosed, "", rooms.InstanceLost); err != nil {
		t.Fatal(err)
	}
	step(false, op{kind: opWhole, version: 3})
	if got := inState(); got != left {
		t.Errorf("after the rest it is %q", got)
	}
	step(true, op{kind: opReset, version: 4}, op{kind: opWhole, version: 5})
	if got := inState(); got != whole {
		t.Errorf("after all of it it is %q", got)
	}
}

// Changes whose forerunners Redis lost are left out until everything is put
// back.
func TestRedisGapInOwnChanges(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := bareStore(server)
	apply := func(kind opKind, versions ...uint64) applied {
		t.Helper()
		var ops []op
		for _, v := range versions {
			ops = append(ops, op{kind: kind, version: v, place: rooms.EntryKey{Key: "nobody"}})
		}
		done, err := client.apply(t.Context(), ops)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	server.Do("HSET", "{rollcall}:progress:b", "v", 7, "state", string(whole), "m", 3) // older data
	if !apply(opRemove, 8, 9).gapless || !apply(opRemove, 8, 9, 10).gapless {
		t.Error("the next changes, and a batch twice, do not pass for gapless")
	}
	if done := apply(opRemove, 12, 13); done.gapless || done.version != 10 {
		t.Errorf("behind a gap: %+v", done)
	}
	if done := apply(opSignOut, 5); done.gapless || done.count != 3 {
		t.Errorf("a sign-out behind a gap: %+v", done)
	}
	if done := apply(opReset, 14); !done.gapless || done.version != 14 {
		t.Errorf("a reset: %+v", done)
	}
}
