package rooms_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

// underGrace runs a story in virtual time with a grace of 5 s; heard is what a
// watcher of the changes was told since it was last asked.
func underGrace(t *testing.T, story func(h *house, heard func() []string)) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouseWith(t, rooms.Options{Grace: 5 * time.Second})
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
	h := newHouseWith(t, rooms.Options{Grace: time.Hour})
	r := h.rooms
	held, late := &fakeConn{id: "held"}, &fakeConn{id: "late"}
	for i, c := range []*fakeConn{held, late} {
		if _, err := r.Connect(c, rooms.Handshake{}); err != nil {
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
	if left := len(h.cluster.Entries()); left != 2 {
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
		w.far.Remove(rooms.EntryKey{Key: "a"}, rooms.Closed) // as the store does in the end
		w.far.Remove(rooms.EntryKey{List: rooms.RoomList("r"), Key: "a"}, rooms.Closed)
		w.hears(watcher)
		w.hears(member)
	})
}

// A reload is not seen in a chat room either, with and without an id; the place
// is kept, for an online user as for a name.
func TestGraceInRooms(t *testing.T) {
	for name, user := range map[string]string{"with an id": one, "without": `{}`, "not registered": ""} {
		t.Run(name, func(t *testing.T) {
			underGrace(t, func(h *house, heard func() []string) {
				enter := func(id string) *fakeConn {
					c := h.connect(id, "none")
					if user != "" {
						h.do(c, "register", user)
					}
					h.do(c, "join", `{"room":"r","username":"ann"}`)
					return c
				}
				a, bob := enter("a"), h.connect("b", "none")
				h.do(bob, "join", `{"room":"r","username":"bob"}`)
				heard()
				bob.told()
				for _, id := range []string{"a2", "a3", "a3"} {
					h.rooms.Disconnect(a, rooms.Closed)
					heard()
					a = enter(id)
					heard()
					expect(h.t, bob.told())
				}
				if got := h.rooms.RoomUsers("r"); !slices.Equal(got, []string{"ann", "bob"}) {
					h.t.Error("the place was not kept:", got)
				}
				time.Sleep(time.Minute)
				heard()
				expect(h.t, bob.told())
				entries := 0
				for _, e := range h.cluster.Entries() {
					if e.List == rooms.RoomList("r") {
						entries++
					}
				}
				if entries != 2 {
					h.t.Errorf("%d entries are left", entries)
				}
				h.rooms.Disconnect(a, rooms.Closed)
				heard()
				expect(h.t, bob.told())
				time.Sleep(5 * time.Second)
				expect(h.t, bob.told(), `user_left {"room":"r","username":"ann","users":["bob"],"count":1}`)
			})
		})
	}
}

// Leaving is meant, signing out too: neither is held back by a socket that closed
// just before.
func TestNoGraceForWhatIsMeant(t *testing.T) {
	underGrace(t, func(h *house, heard func() []string) {
		bob := h.connect("b", "none")
		h.do(bob, "join", `{"room":"r","username":"bob"}`)
		tabs := func(names ...string) (out []*fakeConn) {
			for _, id := range names {
				c := h.connect(id, "none")
				h.do(c, "register", one)
				h.do(c, "join", `{"room":"r","username":"ann"}`)
				out = append(out, c)
			}
			heard()
			bob.told()
			return out
		}
		const left = `user_left {"room":"r","username":"ann","users":["bob"],"count":1}`
		two := tabs("1", "2")
		h.rooms.Disconnect(two[0], rooms.Closed)
		h.do(two[1], "leave", `{"room":"r"}`)
		expect(h.t, heard())
		expect(h.t, bob.told(), left)
		h.do(two[1], "unregister")
		expect(h.t, heard(), `remove_user {"id":1} {"reason":"signed_out"}`)

		two = tabs("3", "4")
		h.rooms.Disconnect(two[0], rooms.Closed)
		h.do(two[1], "register", `{"id":2}`) // that is signing out as 1
		expect(h.t, heard(), `remove_user {"id":1} {"reason":"signed_out"}`, `add_user {"id":2}`)
		h.do(two[1], "unregister")
		h.do(two[1], "leave", `{"room":"r"}`)
		time.Sleep(5 * time.Second)
		heard()

		two = tabs("5", "6")
		h.rooms.Disconnect(two[0], rooms.Closed)
		h.rooms.SignOut("1")
		expect(h.t, heard(), `remove_user {"id":1} {"reason":"signed_out"}`)
		expect(h.t, bob.told(), left)
	})
}

// Who comes back by id under another name, or registers after joining, leaves no
// old name behind.
func TestGraceEndsWithTheReturn(t *testing.T) {
	underGrace(t, func(h *house, heard func() []string) {
		a, bob := h.connect("a", "none"), h.connect("b", "none")
		h.do(a, "register", one)
		for _, c := range []*fakeConn{a, bob} {
			h.do(c, "join", `{"room":"r","username":"`+c.id+`"}`)
		}
		heard()
		bob.told()
		h.rooms.Disconnect(a, rooms.Closed)
		a = h.connect("a2", "none")
		h.do(a, "join", `{"room":"r","username":"a2"}`)
		h.do(a, "register", one)
		heard()
		// Whether a flush came between the two is chance.
		told := bob.told()
		if len(told) != 2 || !strings.Contains(told[1], `"users":["b","a2"],"count":2}`) {
			h.t.Errorf("heard %q, want that a left and a2 joined", told)
		}
	})
}

// Beyond the bound nobody is held, and it is counted.
func TestGraceIsBounded(t *testing.T) {
	underGrace(t, func(h *house, heard func() []string) {
		h.rooms.HoldAtMost(1)
		a, b := h.connect("a", "none"), h.connect("b", "none")
		h.do(a, "register", one)
		h.do(b, "register", `{"id":2}`)
		heard()
		h.rooms.Disconnect(a, rooms.Closed)
		h.rooms.Disconnect(b, rooms.Closed)
		expect(h.t, heard(), `remove_user {"id":2} {"reason":"closed"}`)
		if n := h.rooms.Unheld(); n != 1 {
			h.t.Errorf("%d are counted", n)
		}
	})
}

// Back on another instance, a user keeps every place, and nobody is told.
func TestGraceOverInstances(t *testing.T) {
	inTown(t, 2, rooms.Options{Grace: 2 * time.Second}, func(w *town) {
		a, b := w.connect(0, "z", "presence=none"), w.connect(1, "b", "presence=changes")
		enter := func(c *fakeConn, user string) {
			w.do(c, "register", user)
			w.do(c, "join", `{"room":"r","username":"`+c.id[:1]+`"}`)
		}
		enter(a, one)
		w.settle()
		enter(b, `{"id":2}`)
		w.settle()
		b.told()
		w.disconnect(a)
		w.settle()
		a = w.connect(1, "z2", "presence=none")
		enter(a, one)
		time.Sleep(time.Minute)
		w.hears(b)
		for i, r := range w.instances {
			if got := string(r.OnlineUsers()); got != `[{"id":1},{"id":2}]` {
				w.t.Errorf("instance %d lists %s", i, got)
			}
			if got := r.RoomUsers("r"); !slices.Equal(got, []string{"z", "b"}) {
				w.t.Errorf("instance %d has %s in the room", i, got)
			}
		}
	})
}
