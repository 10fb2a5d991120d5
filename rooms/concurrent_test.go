package rooms_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// Many sockets at once and the real flush loop. Clients that only listen must
// agree with the list in the end, and never be told nonsense on the way.
func TestConcurrentSockets(t *testing.T) {
	const talkers, rounds = 40, 200
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rooms.New(rooms.Options{}, memory.New(), &fakeSender{})
	ctx, cancel := context.WithCancel(t.Context())
	var running, talking sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	defer running.Wait()
	defer cancel()

	var listeners []*listener
	for i, presence := range []string{"both", "list", "changes", "both", "changes"} {
		l := newListener(fmt.Sprintf("listener%d", i))
		listeners = append(listeners, l)
		if _, err := r.Connect(l, handshake(presence)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Handle(l, "sync", nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range talkers {
		talking.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for n := range rounds {
				talk(t, r, random, fmt.Sprintf("s%d-%d", i, n), n == rounds-1)
			}
		})
	}
	talking.Wait()
	if got := r.Counts(); got.Connections != talkers+len(listeners) || got.Sockets > talkers {
		t.Errorf("counts at the end: %+v", got)
	}
	for _, l := range listeners {
		l.await(t, string(r.OnlineUsers()))
	}
}

// talk is a socket's life, cut short for the last: that one stays.
func talk(t *testing.T, r *rooms.Rooms, random *rand.Rand, id string, stays bool) {
	c := &fakeConn{id: id, see: func(rooms.Event) {}}
	presence := []string{"both", "list", "changes", "count", "none"}[random.IntN(5)]
	if _, err := r.Connect(c, handshake(presence)); err != nil {
		t.Error(err)
		return
	}
	for range random.IntN(4) {
		var err error
		switch random.IntN(5) {
		case 0:
			_, err = r.Handle(c, "unregister", nil)
		case 1:
			_, err = r.Handle(c, "sync", nil)
		default:
			k := fmt.Sprint(random.IntN(10))
			user := fmt.Sprintf(`{"id":%s,"k":"%s","v":%d}`, k, k, random.IntN(3))
			_, err = r.Handle(c, "register", raw([]string{user}))
		}
		if err != nil {
			t.Error(err)
		}
		_, _ = r.OnlineUsers(), r.Counts()
	}
	if !stays {
		r.Disconnect(c, rooms.Closed)
	}
}

// A listener is a client that can be waited for.
type listener struct {
	*fakeConn
	changed chan struct{}

	// mu guards the fields below.
	mu     sync.Mutex
	client client
	err    error
}

func newListener(id string) *listener {
	l := &listener{changed: make(chan struct{}, 1)}
	l.fakeConn = &fakeConn{id: id, see: func(e rooms.Event) {
		l.mu.Lock()
		if err := l.client.apply(e); err != nil && l.err == nil {
			l.err = err
		}
		l.mu.Unlock()
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}}
	return l
}

// await waits until the listener has this list.
func (l *listener) await(t *testing.T, want string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		got, err := text(l.client.users), l.err
		l.mu.Unlock()
		switch {
		case err != nil:
			t.Errorf("%s: %v", l.id, err)
			return
		case got == want:
			return
		}
		select {
		case <-l.changed:
		case <-timeout:
			t.Errorf("%s has %s, the list is %s", l.id, got, want)
			return
		}
	}
}

// Frames of one socket come in the order of the flushes, whatever happens
// beside: each count differs from the one before, and the last one is right.
func TestCountsComeInOrder(t *testing.T) {
	h := newHouse(t)
	r := h.rooms
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	const users = 2000
	var counts []string
	last := make(chan struct{})
	c := &fakeConn{id: "c", see: func(e rooms.Event) {
		counts = append(counts, string(e.Args[0]))
		if counts[len(counts)-1] == fmt.Sprint(users) {
			close(last)
		}
	}}
	if _, err := r.Connect(c, handshake("count")); err != nil {
		t.Fatal(err)
	}
	running.Go(func() { _ = r.Run(ctx) })
	for i := range users { // users only come, so counts only rise
		h.far.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: fmt.Sprint(i)}, UserID: fmt.Sprint("u", i), Data: []byte(`{}`)})
	}
	select {
	case <-last:
	case <-time.After(20 * time.Second):
		t.Fatal("the last count did not come")
	}
	cancel()
	running.Wait()
	if !slices.IsSortedFunc(counts, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		if a < b {
			return -1
		}
		return 1 // equal ones are out of order too
	}) {
		t.Fatalf("counts: %v", counts)
	}
}
