package rooms_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/rooms"
)

func TestSignOut(t *testing.T) {
	inTown(t, 3, rooms.Options{Grace: time.Minute}, func(w *town) {
		watcher := w.connect(2, "w", watches)
		w.do(watcher, "sync")
		w.hears(watcher, `online_users []`)
		tabs := []*fakeConn{w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none"), w.connect(1, "c", "presence=none")}
		other := w.connect(0, "o", "presence=none")
		for _, c := range tabs {
			w.do(c, "register", one)
			w.do(c, "join", `{"room":"r"}`)
		}
		w.do(other, "register", `{"id":2}`)
		w.hears(watcher, `add_user {"id":1}`, `add_user {"id":2}`)
		w.disconnect(tabs[2]) // held for the grace
		if n := w.instances[2].SignOut("1"); n != 3 {
			t.Error(n, "sockets")
		}
		w.hears(watcher, `remove_user {"id":1} {"reason":"signed_out"}`)
		for _, c := range tabs[:2] {
			told := c.told()
			if told[len(told)-1] != "signed_out" || !c.closed() {
				t.Errorf("%s was told %q, closed: %v", c.id, told, c.closed())
			}
		}
		for event, arg := range map[string]string{"register": one, "join": `{"room":"r"}`} {
			if _, err := w.instances[0].Handle(tabs[0], event, raw([]string{arg})); err == nil || !strings.HasPrefix(err.Error(), "not_connected") {
				t.Errorf("%s after signing out: %v", event, err)
			}
		}
		w.hears(other)
		if other.closed() || len(w.instances[0].RoomUsers("r")) != 0 {
			t.Error("too many or too few went")
		}
		if n := w.instances[0].SignOut("nobody"); n != 0 {
			t.Error(n, "sockets of nobody")
		}
	})
}

// A connection that unregistered shows no user, but its token still is one's: it
// is signed out with the user's other connections, on every instance, and cannot
// register again.
func TestSignOutOfWhoUnregistered(t *testing.T) {
	withTokens(t, func(w *town, connect func(int, string, string, string) *fakeConn) {
		a := connect(0, "a", `1h {"id":1,"name":"Ada"}`, "presence=none")
		other := connect(0, "o", `1h {"id":2,"name":"Bob"}`, "presence=none")
		for _, c := range []*fakeConn{a, other} {
			w.do(c, "join", `{"room":"r"}`)
			w.do(c, "unregister")
		}
		w.settle()
		other.told()
		w.instances[1].SignOut("1")
		w.hears(other, `user_left {"room":"r","username":"Ada","users":["Bob"],"count":1}`)
		if told := a.told(); told[len(told)-1] != "signed_out" || !a.closed() {
			t.Errorf("told %q, closed: %v", told, a.closed())
		}
		w.refused(a, "not_connected", "register", one)
		if other.closed() {
			t.Error("somebody else went too")
		}
	})
}

// A token that is revoked between its check and the connection's place among
// the others, when a sign-out cannot find it yet, does not let it in.
func TestConnectMeetsRevocation(t *testing.T) {
	var h *house
	revoked := false
	h = newHouseWith(t, rooms.Options{AllowGuests: true, Authenticate: func(string) (rooms.Identity, error) {
		if revoked {
			return rooms.Identity{}, errors.New("revoked")
		}
		revoked = true
		h.rooms.SignOut("1")
		return rooms.Identity{User: []byte(one)}, nil
	}})
	c := &fakeConn{id: "a"}
	if _, err := h.rooms.Connect(c, handshakeOf("token=x", nil)); code(err) != "unauthorized" {
		t.Errorf("connected: %v", err)
	}
	if n := h.rooms.Counts().Connections; n != 0 {
		t.Errorf("%d connections", n)
	}
}

// Until its user is registered, too, a connection with a token is signed out.
func TestConnectMeetsSignOut(t *testing.T) {
	var h *house
	checks := 0
	h = newHouseWith(t, rooms.Options{Authenticate: func(string) (rooms.Identity, error) {
		if checks++; checks == 2 {
			h.rooms.SignOut("1")
		}
		return rooms.Identity{User: []byte(one)}, nil
	}})
	c := &fakeConn{id: "a"}
	if _, err := h.rooms.Connect(c, handshakeOf("token=x", nil)); err == nil || !c.closed() {
		t.Errorf("connected: %v, closed: %v", err, c.closed())
	}
	if list := string(h.rooms.OnlineUsers()); list != "[]" {
		t.Errorf("listed are %s", list)
	}
}

// This instance's connections are told when SignOut returns: what follows may be the
// end of the process, which must not come first.
func TestSignOutIsDoneAtOnce(t *testing.T) {
	h := newHouse(t)
	c := h.connect("a", "none")
	h.do(c, "register", one)
	if n := h.rooms.SignOut("1"); n != 1 || !c.closed() {
		t.Errorf("%d sockets, closed: %v", n, c.closed())
	}
	if told := c.told(); len(told) != 1 || told[0] != "signed_out" {
		t.Errorf("told %q", told)
	}
}

func TestUserWithoutRecords(t *testing.T) {
	h := newHouse(t)
	if got := h.rooms.User(context.Background(), "1"); got != (rooms.UserInfo{ID: "1"}) {
		t.Error(got)
	}
	if got, err := h.rooms.Messages(context.Background(), "r"); len(got) != 0 || err != nil {
		t.Error(got, err)
	}
}

func TestEmit(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		a, b := w.connect(0, "a", "presence=none"), w.connect(1, "b", "presence=none")
		w.do(a, "join", `{"room":"r"}`)
		w.settle()
		a.told()
		emit := func(name string, to ...string) error {
			return w.instances[1].Emit(rooms.Broadcast{Event: rooms.Event{Name: name, Args: raw([]string{"1.0"})}, Rooms: to})
		}
		if emit("news") != nil || emit("only", rooms.RoomList("r")) != nil {
			t.Error("refused")
		}
		w.hears(a, "news 1.0", "only 1.0")
		w.hears(b, "news 1.0")
		for _, name := range []string{"", "connect", "disconnect", "newListener"} {
			if err := emit(name); err == nil || !strings.HasPrefix(err.Error(), "bad_event") {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}

// Seed of ?userId=: registered on connecting, and the ids as an object.
func TestUserID(t *testing.T) {
	inTown(t, 1, rooms.Options{}, func(w *town) {
		a := w.connect(0, "a", "userId=7")
		w.settle() // a flush may have come before the registering
		told := a.told()
		expect(t, told[max(0, len(told)-3):], `add_user {"id":"7"}`, `online_users [{"id":"7"}]`, `updateOnlineUsers {"7":true}`)
		b := w.connect(0, "b", "userId=%22x%22&presence=list")
		w.settle()
		told = b.told()
		expect(t, told[max(0, len(told)-2):], `online_users [{"id":"7"},{"id":"\"x\""}]`, `updateOnlineUsers {"7":true,"\"x\"":true}`)
		w.disconnect(b)
		w.settle()
		a.told()
		w.do(a, "sync")
		w.hears(a, `online_users [{"id":"7"}]`, `updateOnlineUsers {"7":true}`)
		c := &fakeConn{id: "c"}
		if _, err := w.instances[0].Connect(c, rooms.Handshake{Query: map[string][]string{"userId": {strings.Repeat("x", 5000)}}}); err == nil || !strings.HasPrefix(err.Error(), "user_too_large") {
			t.Error(err)
		}
		if n := w.instances[0].Counts().Connections; n != 1 {
			t.Error(n, "connections")
		}
	})
}
