package rooms_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/memory"
	"rollcall/rooms"
)

// A town is instances that share a store and a bus, running in virtual time.
type town struct {
	t         *testing.T
	instances []*rooms.Rooms
	cluster   *adaptertest.Cluster
	far       rooms.Store // of an instance that is none of these
	home      map[*fakeConn]*rooms.Rooms
}

// inTown tells a story with n instances.
func inTown(t *testing.T, n int, options rooms.Options, story func(*town)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		cluster, bus := newCluster(), &memory.Bus{}
		w := &town{t: t, cluster: cluster, far: cluster.Open("far"), home: make(map[*fakeConn]*rooms.Rooms)}
		for i := range n {
			options.Instance = string(rune('A' + i))
			store := cluster.Open(options.Instance)
			options.Bus, options.Records = bus, store
			r := rooms.New(options, store, &fakeSender{})
			running.Go(func() { _ = r.Run(ctx) })
			w.instances = append(w.instances, r)
		}
		story(w)
		cancel()
		running.Wait()
	})
}

// settle lets everything happen that is about to: the longest pause of a flush.
func (w *town) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// told is what a socket was sent since the last time, in no time.
func (w *town) told(c *fakeConn) []string {
	synctest.Wait()
	return c.told()
}

// connect opens a socket at an instance, with a query such as "presence=none".
func (w *town) connect(instance int, id, query string) *fakeConn {
	w.t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &fakeConn{id: id}
	w.home[c] = w.instances[instance]
	if _, err := w.home[c].Connect(c, rooms.Handshake{Query: values}); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *town) disconnect(c *fakeConn) { w.home[c].Disconnect(c, rooms.Closed) }

// do sends an event that must be accepted.
func (w *town) do(c *fakeConn, event string, args ...string) map[string]any {
	w.t.Helper()
	reply, err := w.home[c].Handle(c, event, raw(args))
	if err != nil {
		w.t.Fatalf("%s %s: %v", event, args, err)
	}
	return reply
}

// refused sends an event that must be refused with this code.
func (w *town) refused(c *fakeConn, code, event string, args ...string) {
	w.t.Helper()
	_, err := w.home[c].Handle(c, event, raw(args))
	if err == nil || !strings.HasPrefix(err.Error(), code+": ") {
		w.t.Errorf("%s %.80s: got %v, want %s", event, args, err, code)
	}
}

// hears settles, and checks what a socket was sent since the last time, but for
// what begins with one of the names to leave out.
func (w *town) hears(c *fakeConn, want ...string) {
	w.t.Helper()
	w.settle()
	expect(w.t, c.told(), want...)
}
