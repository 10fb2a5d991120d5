package rooms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/rooms"
)

const (
	annLeft   = `user_left {"room":"r","username":"ann","users":["bob"],"count":1}`
	signedOut = `remove_user {"id":1} {"reason":"signed_out"}`
)

// runWithGrace runs one instance with a grace of 5 s.
func runWithGrace(t *testing.T, test func(f *fixture, watcher *conn)) {
	runInstances(t, 1, rooms.Options{Grace: 5 * time.Second}, func(f *fixture) { test(f, f.watcher(0)) })
}

// member connects a socket that registers a user, if it is not "", and joins r.
func (f *fixture) member(instance int, id, user, name string) *conn {
	f.t.Helper()
	c := f.connect(instance, id, none)
	if user != "" {
		c.do("register", user)
	}
	c.do("join", fmt.Sprintf(`{"room":"r","username":%q}`, name))
	return c
}

// A reload is not seen, on the same instance or another: not of a user with an id,
// and in a chat room not of anybody. The places are kept.
func TestGraceHidesAReload(t *testing.T) {
	for name, user := range map[string]string{"with an id": one, "without": `{}`, "not registered": ""} {
		for _, n := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d instances", name, n), func(t *testing.T) {
				runInstances(t, n, rooms.Options{Grace: 5 * time.Second}, func(f *fixture) {
					ann := f.member(0, "a", user, "ann")
					f.settle()
					bob, watcher := f.member(n-1, "b", `{"id":2}`, "bob"), f.watcher(n-1)
					f.settle(bob)
					expect := func() {
						f.t.Helper()
						bob.expect()
						if user == one {
							watcher.expect()
							f.expectList(`[{"id":1},{"id":2}]`)
						}
						f.expectMembers("r", "ann", "bob")
					}
					for i, id := range []string{"a2", "a3", "a3"} {
						ann.disconnect()
						expect()
						ann = f.member([]int{n - 1, 0, 0}[i], id, user, "ann")
						expect()
						if sockets := f.rooms.Counts().Sockets; user == one && sockets != 2 {
							f.t.Errorf("%d entries of users", sockets)
						}
					}
					time.Sleep(time.Minute)
					expect()
					if n := len(f.stores.Entries()) - f.rooms.Counts().Sockets; n != 2 {
						f.t.Errorf("%d entries are left in the room", n)
					}
					ann.disconnect()
					bob.expect()
					time.Sleep(5 * time.Second)
					bob.expect(annLeft)
				})
			})
		}
	}
}

func TestGraceEnds(t *testing.T) {
	runWithGrace(t, func(f *fixture, watcher *conn) {
		a, nobody := f.register(0, "a", one), f.register(0, "n", `{}`)
		f.settle(watcher)
		nobody.disconnect() // and cannot come back
		watcher.expect(`remove_user {} {"reason":"closed"}`)
		a.session.Disconnect(rooms.Timeout)
		time.Sleep(3900 * time.Millisecond)
		watcher.expect()
		time.Sleep(200 * time.Millisecond)
		watcher.expect(`remove_user {"id":1} {"reason":"timeout"}`)
	})
}

// A socket that comes back under its own id as another user is not removed when
// the grace of the one before ends.
func TestGraceOfAReusedSocket(t *testing.T) {
	runWithGrace(t, func(f *fixture, watcher *conn) {
		f.register(0, "a", one).disconnect()
		f.register(0, "a", `{"id":2}`)
		f.settle(watcher)
		time.Sleep(time.Minute)
		watcher.expect()
		f.expectList(`[{"id":2}]`)
	})
}

// When the process ends, what is held is left in the store.
func TestGraceIsHandedOver(t *testing.T) {
	f := newFixture(t, rooms.Options{Grace: time.Hour})
	held, late := f.register(0, "held", one), f.register(0, "late", `{"id":2}`)
	held.disconnect()
	f.run()()
	late.disconnect()
	if left := len(f.stores.Entries()); left != 2 {
		t.Errorf("%d entries are left", left)
	}
}

// A user who leaves an instance that hands over stays listed; one that cannot
// come back does not, but for the name in a chat room, which needs no user.
func TestHandOver(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		watcher, member := f.watcher(1), f.member(1, "m", "", "m")
		a, nobody, guest := f.member(0, "a", one, "a"), f.member(0, "n", `{}`, "n"), f.member(0, "g", "", "g")
		watcher.expect(`add_user {"id":1}`, `add_user {}`)
		f.settle(member)
		f.rooms.HandOver()
		for _, c := range []*conn{a, nobody, guest} {
			c.disconnect()
		}
		watcher.expect(`remove_user {} {"reason":"closed"}`)
		member.expect()
		f.member(1, "a2", one, "a")
		f.remote.Remove(rooms.EntryKey{Key: "a"}, rooms.Closed) // as the store does in the end
		f.remote.Remove(rooms.EntryKey{List: rooms.RoomList("r"), Key: "a"}, rooms.Closed)
		watcher.expect()
		member.expect()
	})
}

// Leaving and signing out are meant, and are not held back by a socket that closed
// just before.
func TestNoGraceForWhatIsMeant(t *testing.T) {
	for name, c := range map[string]struct {
		act          func(f *fixture, socket *conn)
		online, room []string
	}{
		"leave":      {func(_ *fixture, socket *conn) { socket.do("leave", `{"room":"r"}`) }, nil, []string{annLeft}},
		"unregister": {func(_ *fixture, socket *conn) { socket.do("unregister") }, []string{signedOut}, nil},
		"another user": {func(_ *fixture, socket *conn) { socket.do("register", `{"id":2}`) },
			[]string{signedOut, `add_user {"id":2}`}, nil},
		"sign-out": {func(f *fixture, _ *conn) { f.rooms.SignOut("1") }, []string{signedOut}, []string{annLeft}},
	} {
		t.Run(name, func(t *testing.T) {
			runWithGrace(t, func(f *fixture, watcher *conn) {
				bob := f.member(0, "b", "", "bob")
				gone, socket := f.member(0, "1", one, "ann"), f.member(0, "2", one, "ann")
				f.settle(bob, watcher)
				gone.disconnect()
				c.act(f, socket)
				watcher.expect(c.online...)
				bob.expectNow(c.room...)
			})
		})
	}
}

// A user who comes back under another name, or registers after joining, leaves no
// old name behind.
func TestGraceEndsWithTheReturn(t *testing.T) {
	runWithGrace(t, func(f *fixture, _ *conn) {
		a, bob := f.member(0, "a", one, "a"), f.member(0, "b", "", "bob")
		f.settle(bob)
		a.disconnect()
		a = f.member(0, "a2", "", "a2")
		a.do("register", one)
		f.settle()
		events := bob.received() // whether a flush came between the two is chance
		if last := events[len(events)-1]; !strings.HasSuffix(last, `"users":["bob","a2"],"count":2}`) {
			t.Errorf("b received %q last", last)
		}
	})
}

// Beyond the bound nobody is held, and it is counted.
func TestGraceIsBounded(t *testing.T) {
	runWithGrace(t, func(f *fixture, watcher *conn) {
		f.rooms.HoldAtMost(1)
		a, b := f.register(0, "a", one), f.register(0, "b", `{"id":2}`)
		f.settle(watcher)
		a.disconnect()
		b.disconnect()
		watcher.expect(`remove_user {"id":2} {"reason":"closed"}`)
		if n := f.rooms.Unheld(); n != 1 {
			f.t.Errorf("%d are counted", n)
		}
	})
}
