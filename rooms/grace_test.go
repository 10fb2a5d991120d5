package rooms_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

// underGrace runs a story in virtual time with a grace of 5 s; heard is what a
// watcher of the changes was told since it was last asked.
func underGrace(t *testing.T, story func(h *house, heard func() []string)) {
	synctest.Test(t, func(t *testing.T) {
		store := adapter.NewMemory()
		h := &house{t, rooms.New(rooms.Options{Grace: 5 * time.Second}, store, &fakeSender{}), store}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.rooms.Run(ctx) }()
		watcher := h.connect("watcher", "changes")
		h.do(watcher, "sync")
		heard := func() []string {
			time.Sleep(time.Second) // the longest pause of the flush
			synctest.Wait()
			return watcher.told()
		}
		heard()
		story(h, heard)
		cancel()
		<-done
	})
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestGraceHidesAReload(t *testing.T) {
	underGrace(t, func(h *house, heard func() []string) {
		a, b := h.connect("a", ""), h.connect("b", "")
		h.do(a, "register", `{"id":1}`)
		h.do(b, "register", `{"id":2}`)
		expect(h.t, heard(), `add_user {"id":1}`, `add_user {"id":2}`)
		for _, id := range []string{"a2", "a3", "a3"} { // reloaded again and again
			h.rooms.Disconnect(a, rooms.Closed)
			expect(h.t, heard())
			a = h.connect(id, "")
			h.do(a, "register", `{"id":1}`)
			expect(h.t, heard())
			if n := h.rooms.Counts().Sockets; n != 2 {
				h.t.Errorf("%d entries", n)
			}
		}
		if got := string(h.rooms.OnlineUsers()); got != `[{"id":1},{"id":2}]` {
			h.t.Error("the place was not kept:", got)
		}
		time.Sleep(time.Minute)
		expect(h.t, heard())
	})
}

func TestGraceEnds(t *testing.T) {
	underGrace(t, func(h *house, heard func() []string) {
		a := h.connect("a", "")
		h.do(a, "register", `{"id":1}`)
		heard()
		h.rooms.Disconnect(a, rooms.Timeout)
		time.Sleep(3900 * time.Millisecond)
		expect(h.t, heard())
		time.Sleep(200 * time.Millisecond)
		expect(h.t, heard(), `remove_user {"id":1} {"reason":"timeout"}`)
	})
}

// A socket that comes back under its own id as somebody else is not removed
// when the grace of the one before ends.
func TestGraceOfAReusedSocket(t *testing.T) {
	underGrace(t, func(h *house, heard func() []string) {
		a := h.connect("a", "")
		h.do(a, "register", `{"id":1}`)
		h.rooms.Disconnect(a, rooms.Closed)
		a = h.connect("a", "")
		h.do(a, "register", `{"id":2}`)
		heard()
		time.Sleep(time.Minute)
		expect(h.t, heard())
		if got := string(h.rooms.OnlineUsers()); got != `[{"id":2}]` {
			h.t.Error(got)
		}
	})
}

// Signing out is meant, and nobody without an id can come back.
func TestNoGrace(t *testing.T) {
	underGrace(t, func(h *house, heard func() []string) {
		a, b := h.connect("a", ""), h.connect("b", "")
		h.do(a, "register", `{"id":1}`)
		h.do(b, "register", `{}`)
		heard()
		h.do(a, "unregister")
		expect(h.t, heard(), `remove_user {"id":1} {"reason":"signed_out"}`)
		h.rooms.Disconnect(b, rooms.Closed)
		expect(h.t, heard(), `remove_user {} {"reason":"closed"}`)
	})
}

// When the process ends, what is held is left in the shared map.
func TestGraceIsHandedOver(t *testing.T) {
	store := adapter.NewMemory()
	r := rooms.New(rooms.Options{Grace: time.Hour}, store, &fakeSender{})
	held, late := &fakeConn{id: "held"}, &fakeConn{id: "late"}
	for i, c := range []*fakeConn{held, late} {
		if err := r.Connect(c, rooms.Handshake{}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Handle(c, "register", raw([]string{`{"id":` + string(rune('1'+i)) + `}`})); err != nil {
			t.Fatal(err)
		}
	}
	r.Disconnect(held, rooms.Closed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Run(ctx)
	r.Disconnect(late, rooms.Closed)
	left := 0
	store.Watch(func(rooms.Change) { left++ })()
	if left != 2 {
		t.Errorf("%d entries are left", left)
	}
}

// Who leaves an instance that hands over stays listed; who cannot come back does
// not, but for the name in a chat room, which needs no user.
func TestHandOver(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		watcher := w.connect(1, "w", watches)
		w.do(watcher, "sync")
		w.hears(watcher, `online_users []`)
		member := w.connect(1, "m", "presence=none")
		w.do(member, "join", `{"room":"r","username":"m"}`)
		a, nobody := w.connect(0, "a", "presence=none"), w.connect(0, "n", "presence=none")
		w.do(a, "register", one)
		w.do(a, "join", `{"room":"r","username":"a"}`)
		w.do(nobody, "register", `{}`)
		guest := w.connect(0, "g", "presence=none")
		for _, c := range []*fakeConn{nobody, guest} {
			w.do(c, "join", `{"room":"r","username":"`+c.id+`"}`)
		}
		w.hears(watcher, `add_user {"id":1}`, `add_user {}`)
		w.settle()
		member.told()
		w.instances[0].HandOver()
		w.disconnect(a)
		w.disconnect(nobody)
		w.disconnect(guest)
		w.hears(watcher, `remove_user {} {"reason":"closed"}`)
		w.hears(member)
		back := w.connect(1, "a2", "presence=none")
		w.do(back, "register", one)
		w.do(back, "join", `{"room":"r","username":"a"}`)
		w.store.Remove(rooms.Place{Key: "a"}, rooms.Closed) // as the store does in the end
		w.store.Remove(rooms.Place{List: rooms.RoomList("r"), Key: "a"}, rooms.Closed)
		w.hears(watcher)
		w.hears(member)
	})
}
