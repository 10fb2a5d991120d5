package rooms_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

// Many sockets at once, and the flush loop. Clients that only listen must agree
// with the list in the end, and never be sent nonsense on the way.
func TestConcurrentSockets(t *testing.T) {
	const talkers, rounds = 40, 200
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, rooms.Options{})
		costs := rand.New(rand.NewPCG(seed, talkers))
		f.sender.cost = func() time.Duration { return time.Duration(costs.IntN(3)) * time.Millisecond }
		defer f.run()()
		type listener struct {
			*conn
			client client
			err    error
		}
		var listeners []*listener
		for i, presence := range []string{"both", "list", "changes", "both", "changes"} {
			l := &listener{conn: f.connect(0, fmt.Sprint("listener", i), "presence="+presence)}
			l.see = func(e rooms.Event) {
				if err := l.client.apply(e); err != nil && l.err == nil {
					l.err = err
				}
			}
			l.do("sync")
			listeners = append(listeners, l)
		}
		var talking sync.WaitGroup
		for i := range talkers {
			talking.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				for n := range rounds {
					talk(f, random, fmt.Sprintf("s%d-%d", i, n), n == rounds-1)
				}
			})
		}
		talking.Wait()
		f.settle()
		if got := f.rooms.Counts(); got.Connections != talkers+len(listeners) || got.Sockets > talkers {
			t.Errorf("counts at the end: %+v", got)
		}
		for _, l := range listeners {
			if got, want := text(l.client.users), string(f.rooms.OnlineUsers()); l.err != nil || got != want {
				t.Errorf("%s: %v; has %s, the list is %s", l.id, l.err, got, want)
			}
		}
	})
}

// talk is a socket's life, cut short for the last: that one stays.
func talk(f *fixture, random *rand.Rand, id string, stays bool) {
	c := f.connect(0, id, "presence="+[]string{"both", "list", "changes", "count", "none"}[random.IntN(5)])
	for range random.IntN(4) {
		switch random.IntN(5) {
		case 0:
			c.do("unregister")
		case 1:
			c.do("sync")
		default:
			k := random.IntN(10)
			c.do("register", fmt.Sprintf(`{"id":%d,"k":"%d","v":%d}`, k, k, random.IntN(3)))
		}
		_, _ = f.rooms.OnlineUsers(), f.rooms.Counts()
	}
	if !stays {
		c.disconnect()
	}
}

// Disconnect may come from another goroutine while register is handled: nothing of
// the socket is left. Messages go out meanwhile, and a socket receives them in order.
func TestDisconnectCrossesRegister(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		// It takes long to read, so that there is time to cross.
		user := `{"id":5` + strings.Repeat(`,"x":[[[[1]]]]`, 280) + `}`
		watcher := f.connect(0, "watcher", none)
		next := 0
		watcher.see = func(e rooms.Event) {
			if got := string(e.Args[0]); got != fmt.Sprint(next) {
				f.t.Errorf("message %s came when %d was next", got, next)
			}
			next++
		}
		var publishing, connecting sync.WaitGroup
		done := make(chan struct{})
		publishing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					f.publish(rooms.Broadcast{Event: rooms.Event{Name: "n", Args: raw(fmt.Sprint(i))}, Rooms: []string{"user:5", "watcher"}})
				}
			}
		})
		for i := range 8 {
			connecting.Go(func() {
				for j := range 100 {
					c := f.connect(0, fmt.Sprintf("s%d-%d", i, j), none)
					c.see = func(rooms.Event) {}
					var crossing sync.WaitGroup
					registering := make(chan struct{})
					crossing.Go(func() {
						close(registering)
						_, _ = c.handle("register", user) // refused if the socket is gone
					})
					<-registering
					c.disconnect()
					crossing.Wait()
				}
			})
		}
		connecting.Wait()
		close(done)
		publishing.Wait()
		f.settle()
		if next == 0 {
			f.t.Error("nothing was published meanwhile")
		}
		n, _, _ := f.rooms.Held()
		if counts := f.rooms.Counts(); counts != (rooms.Counts{Connections: 1}) || n != 0 {
			f.t.Errorf("left behind: %+v, %d rooms", counts, n)
		}
	})
}
