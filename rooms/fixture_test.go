package rooms_test

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// The queries of sockets that receive no presence, and only its changes.
const (
	none    = "presence=none"
	changes = "presence=changes"
)

// A fixture is instances that share a store and a bus.
type fixture struct {
	t         testing.TB
	rooms     *rooms.Rooms // the first instance
	instances []*rooms.Rooms
	running   bool // else flush and handle take the steps of the flush loop
	stores    *adaptertest.Cluster
	remote    rooms.Store // of an instance without Rooms
	bus       *memory.Bus
	sender    *sender
}

// newFixture makes one instance that does not run.
func newFixture(t testing.TB, options rooms.Options) *fixture { return newInstances(t, 1, options) }

func newInstances(t testing.TB, n int, options rooms.Options) *fixture {
	stores := adaptertest.NewCluster(memory.New())
	f := &fixture{t: t, stores: stores, remote: stores.Open("remote"), bus: &memory.Bus{}, sender: &sender{}}
	for i := range n {
		options.Instance = string(rune('A' + i))
		store := stores.Open(options.Instance)
		options.Bus, options.Records = f.bus, store
		f.instances = append(f.instances, rooms.New(options, store, f.sender))
	}
	f.rooms = f.instances[0]
	return f
}

// runInstances runs n instances in virtual time until test returns.
func runInstances(t *testing.T, n int, options rooms.Options, test func(*fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := newInstances(t, n, options)
		defer f.run()()
		test(f)
	})
}

// run starts the instances; stop returns when they have ended.
func (f *fixture) run() (stop func()) {
	f.running = true
	ctx, cancel := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	for _, r := range f.instances {
		running.Go(func() {
			if err := r.Run(ctx); err != nil {
				f.t.Errorf("Run: %v", err)
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// settle lets everything happen that is due, and discards what these sockets
// have received by then.
func (f *fixture) settle(discard ...*conn) {
	if f.running {
		time.Sleep(time.Second) // the longest pause of a flush
		synctest.Wait()
	} else {
		f.flush(true)
	}
	for _, c := range discard {
		c.take()
	}
}

// flush takes the steps of the flush loop once, with those of lists or without.
func (f *fixture) flush(lists bool) {
	f.stores.Deliver()
	for _, r := range f.instances {
		r.Flush(lists)
	}
}

// publish sends a message as another instance does.
func (f *fixture) publish(m rooms.Broadcast) {
	f.bus.Publish(m)
	f.deliver()
}

// deliver sends what is to leave at once, if the flush loop does not run.
func (f *fixture) deliver() {
	if !f.running {
		for _, r := range f.instances {
			r.Deliver()
		}
	}
}

// expectList checks whom every instance lists as online.
func (f *fixture) expectList(want string) {
	f.t.Helper()
	f.settle()
	for i, r := range f.instances {
		if got := string(r.OnlineUsers()); got != want {
			f.t.Errorf("instance %d lists %s, want %s", i, got, want)
		}
	}
}

// expectMembers checks whom every instance has in a chat room.
func (f *fixture) expectMembers(room string, want ...string) {
	f.t.Helper()
	f.settle()
	for i, r := range f.instances {
		if got := r.RoomUsers(room); !slices.Equal(got, want) {
			f.t.Errorf("instance %d has %q in %s, want %q", i, got, room, want)
		}
	}
}

// open connects a socket to an instance.
func (f *fixture) open(instance int, id string, h rooms.Handshake) (*conn, error) {
	c := &conn{id: id, fixture: f}
	return c, c.connect(f.instances[instance], h)
}

// connect opens a socket that must be accepted, with a query such as none.
func (f *fixture) connect(instance int, id, query string) *conn {
	f.t.Helper()
	c, err := f.open(instance, id, handshake(query, nil))
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// register connects a socket that receives no presence and registers a user.
func (f *fixture) register(instance int, id, user string) *conn {
	f.t.Helper()
	c := f.connect(instance, id, none)
	c.do("register", user)
	return c
}

// watcher connects a socket that has the list and receives its changes.
func (f *fixture) watcher(instance int) *conn {
	f.t.Helper()
	c := f.connect(instance, "watcher", changes)
	c.do("sync")
	f.settle(c)
	return c
}

// handshake is one with a query such as none, and the object of CONNECT.
func handshake(query string, auth map[string]any) rooms.Handshake {
	values, err := url.ParseQuery(query)
	if err != nil {
		panic(err)
	}
	return rooms.Handshake{Query: values, Auth: auth}
}
