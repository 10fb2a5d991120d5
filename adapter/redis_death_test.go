package adapter

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
	took := agree(t, bound, ab...)
	if took > 2500*time.Millisecond {
		t.Errorf("it took %v, want about 2 s: not by the closed connection, it seems", took)
	}
	t.Logf("gone after %v", took)
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
	again := open(t, RedisOptions{URL: server.URL(), Instance: second})
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
	b.enter(500) // most of it is still queued when it closes
	b.Remove("b/0", rooms.SignedOut)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	agree(t, time.Second, a)
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
	if b.view()["b/0"] != "" || len(b.view()) != 1 {
		t.Errorf("the closed store's view is %v, want a's only", b.view())
	}
}

// Leases are Redis' time alone.
func TestRedisClocksDiffer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var all []*instance
	for id, off := range map[string]time.Duration{"early": -time.Minute, "late": time.Minute, "right": 0} {
		all = append(all, open(t, RedisOptions{URL: server.URL(), Instance: id, Timing: RedisTiming{
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
