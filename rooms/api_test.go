package rooms_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/adapter/memory"
	"rollcall/rooms"
)

func TestSignOut(t *testing.T) {
	runInstances(t, 3, rooms.Options{Grace: time.Minute}, func(f *fixture) {
		watcher := f.watcher(2)
		a, b, left := f.register(0, "a", one), f.register(1, "b", one), f.register(1, "c", one)
		for _, c := range []*conn{a, b, left} {
			c.do("join", `{"room":"r"}`)
		}
		other := f.register(0, "o", `{"id":2}`)
		watcher.expect(`add_user {"id":1}`, `add_user {"id":2}`)
		left.disconnect() // held for the grace
		if n := f.instances[2].SignOut("1"); n != 3 {
			f.t.Error(n, "sockets")
		}
		watcher.expect(signedOut)
		for _, c := range []*conn{a, b} {
			c.expectLast("signed_out")
			if !c.closed() {
				f.t.Errorf("%s was not closed", c.id)
			}
		}
		a.refused("not_connected", "register", one)
		a.refused("not_connected", "join", `{"room":"r"}`)
		other.expect()
		f.expectMembers("r")
		if other.closed() {
			f.t.Error("another user was signed out too")
		}
		if n := f.rooms.SignOut("nobody"); n != 0 {
			f.t.Error(n, "sockets of nobody")
		}
	})
}

// A connection that unregistered shows no user, but its token still is one's: it
// is signed out with the user's other connections, on every instance, and cannot
// register again.
func TestSignOutAfterUnregister(t *testing.T) {
	runInstances(t, 2, rooms.Options{Authenticate: asSigned}, func(f *fixture) {
		a := f.connect(0, "a", token(`1h {"id":1,"name":"Ada"}`)+none)
		other := f.connect(0, "o", token(`1h {"id":2,"name":"Bob"}`)+none)
		for _, c := range []*conn{a, other} {
			c.do("join", `{"room":"r"}`)
			c.do("unregister")
		}
		f.settle(other)
		f.instances[1].SignOut("1")
		other.expect(`user_left {"room":"r","username":"Ada","users":["Bob"],"count":1}`)
		a.expectLast("signed_out")
		a.refused("not_connected", "register", one)
		if !a.closed() || other.closed() {
			f.t.Errorf("closed: %v, another user: %v", a.closed(), other.closed())
		}
	})
}

// A token is checked again once a sign-out finds its connection: neither a
// revocation nor a sign-out between the two is missed.
func TestSignOutWhileConnecting(t *testing.T) {
	for _, c := range []struct {
		during  int // the check of the token during which the user is signed out
		revoked bool
		code    string
	}{{1, true, "unauthorized"}, {2, false, "not_connected"}} {
		var f *fixture
		checks := 0
		f = newFixture(t, rooms.Options{AllowGuests: true, Authenticate: func(string) (rooms.Identity, error) {
			if checks++; checks == c.during {
				f.rooms.SignOut("1")
			} else if checks > c.during && c.revoked {
				return rooms.Identity{}, errors.New("revoked")
			}
			return rooms.Identity{User: []byte(one)}, nil
		}})
		a, err := f.open(0, "a", handshake("token=x", nil))
		if code(err) != c.code || a.closed() == c.revoked {
			t.Errorf("during check %d: %v, closed: %v", c.during, err, a.closed())
		}
		if counts := f.rooms.Counts(); counts != (rooms.Counts{}) {
			t.Errorf("during check %d: %+v", c.during, counts)
		}
	}
}

func TestLastActive(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		start := time.Now().UnixMilli()
		expect := func(when string, want rooms.UserInfo) {
			f.t.Helper()
			synctest.Wait() // the other instance knows
			want.ID = "1"
			if got := f.instances[1].User(f.t.Context(), "1"); got != want {
				f.t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		expect("before", rooms.UserInfo{})
		a := f.register(0, "a", one)
		expect("registered", rooms.UserInfo{Online: true, Status: rooms.Active, Since: start, LastActive: start})
		time.Sleep(time.Minute)
		a.do("heartbeat")
		minute := start + 60_000
		expect("a minute later", rooms.UserInfo{Online: true, Status: rooms.Active, Since: start, LastActive: minute})
		a.do("status", `"hidden"`)
		time.Sleep(time.Minute)
		a.do("heartbeat")
		a.do("register", `{"id":1,"again":true}`)
		expect("hidden", rooms.UserInfo{LastActive: minute})
		a.do("status", `"active"`)
		expect("visible", rooms.UserInfo{Online: true, Status: rooms.Active, Since: minute + 60_000, LastActive: minute + 60_000})
		a.disconnect()
		time.Sleep(29 * 24 * time.Hour)
		expect("a month later", rooms.UserInfo{LastActive: minute + 60_000})
		time.Sleep(2 * 24 * time.Hour)
		expect("31 days later", rooms.UserInfo{})
	})
}

// A storeAhead has a clock that is ahead of the instance's.
type storeAhead struct{ *memory.Store }

func (s storeAhead) Now() int64 { return s.Store.Now() + 5000 }

// What was shown while the user was there is not taken back when the user goes.
func TestLastActiveIsNotBeforeJoining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, rooms.Options{})
		store := storeAhead{memory.New()}
		f.instances[0] = rooms.New(rooms.Options{Bus: f.bus, Records: store}, store, f.sender)
		a := f.register(0, "a", one)
		shown := f.instances[0].User(t.Context(), "1").LastActive
		time.Sleep(time.Second)
		a.disconnect()
		if got := f.instances[0].User(t.Context(), "1"); got.Online || got.LastActive != shown {
			t.Errorf("%+v after the user has gone, %d before", got, shown)
		}
	})
}

func TestEmit(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		a, b := f.connect(0, "a", none), f.connect(1, "b", none)
		a.do("join", `{"room":"r"}`)
		f.settle(a)
		emit := func(name string, to ...string) string {
			return code(f.instances[1].Emit(rooms.Broadcast{Event: rooms.Event{Name: name, Args: raw("1.0")}, Rooms: to}))
		}
		if emit("news") != "" || emit("only", rooms.RoomList("r")) != "" {
			f.t.Error("a good event was refused")
		}
		a.expect("news 1.0", "only 1.0")
		b.expect("news 1.0")
		for _, name := range []string{"", "connect", "disconnect", "newListener"} {
			if code := emit(name); code != "bad_event" {
				f.t.Errorf("%q: got %q, want bad_event", name, code)
			}
		}
	})
}
