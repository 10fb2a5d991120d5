package rooms_test

import (
	"fmt"
	"net/url"
	"testing"

	"rollcall/rooms"
)

// nothings are what JavaScript clients send of values that they do not have.
var nothings = []string{"", "undefined", "null", "NaN", "[object Object]"}

// An id that nobody has registers nobody.
func TestUserIDOfNobody(t *testing.T) {
	for _, id := range append(nothings, "0", "false", "Undefined", " ") {
		h := newHouse(t)
		c := &fakeConn{id: "c"}
		if _, err := h.rooms.Connect(c, rooms.Handshake{Query: url.Values{"userId": {id}}}); err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		want := fmt.Sprintf(`[{"id":%q}]`, id)
		for _, nothing := range nothings {
			if id == nothing {
				want = `[]`
			}
		}
		if list := string(h.rooms.OnlineUsers()); list != want {
			t.Errorf("%q: listed are %s, want %s", id, list, want)
		}
	}
	// An unknown status is refused, also one that is no text, since it may have
	// been meant to hide.
	for _, status := range []any{nil, "", "undefined", "null", "NaN", "[object Object]"} {
		h := newHouse(t)
		if _, err := h.rooms.Connect(&fakeConn{id: "c"}, handshakeOf("userId=1", map[string]any{"status": status})); err != nil {
			t.Fatalf("%v: %v", status, err)
		}
		if list := string(h.rooms.OnlineUsers()); list != `[{"id":"1"}]` {
			t.Errorf("%v: listed are %s", status, list)
		}
	}
	for _, h := range []rooms.Handshake{handshakeOf("userId=1&status=Hidden", nil), handshakeOf("userId=1", map[string]any{"status": "invisible"}), handshakeOf("userId=1", map[string]any{"status": []any{"hidden"}}), handshakeOf("userId=1", map[string]any{"status": 1.0})} {
		house := newHouse(t)
		if _, err := house.rooms.Connect(&fakeConn{id: "c"}, h); code(err) != "bad_status" || house.rooms.Counts().Connections != 0 {
			t.Errorf("%v: %v", h, err)
		}
	}
}

// handshakeOf is a handshake with this query, such as "presence=none", and auth.
func handshakeOf(query string, auth map[string]any) rooms.Handshake {
	values, err := url.ParseQuery(query)
	if err != nil {
		panic(err)
	}
	return rooms.Handshake{Query: values, Auth: auth}
}

// Whoever says "hidden" when connecting is never seen to arrive, is not noted as
// active, and is hidden in every socket; the other statuses show nobody who hides.
func TestStatusOfHandshake(t *testing.T) {
	inTown(t, 2, rooms.Options{}, func(w *town) {
		watcher := w.connect(0, "w", watches)
		w.do(watcher, "sync")
		w.hears(watcher, `online_users []`)
		join := func(instance int, id, query string, auth map[string]any) *fakeConn {
			c := &fakeConn{id: id}
			w.home[c] = w.instances[instance]
			if _, err := w.home[c].Connect(c, handshakeOf("presence=none&"+query, auth)); err != nil {
				t.Fatal(err)
			}
			return c
		}
		hidden := map[string]any{"status": "hidden"}
		a := join(0, "a", "userId=1&status=hidden", nil)
		w.do(a, "heartbeat")
		b := join(1, "b", "userId=2&status=active", hidden) // auth counts first
		w.do(b, "register", `{"id":"2","again":true}`)
		late := join(1, "late", "", hidden)
		w.do(late, "register", `{"id":3}`)
		w.do(late, "unregister")
		w.do(late, "register", `{"id":4}`)
		w.do(late, "register", `{"id":5}`)
		w.hears(watcher)
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			if got := w.instances[0].User(t.Context(), id); got != (rooms.UserInfo{ID: id}) {
				t.Errorf("%+v", got)
			}
		}
		join(1, "a2", "userId=1&status=active", nil) // no choice
		w.hears(watcher)
		w.do(a, "status", `"active"`)
		w.hears(watcher, `add_user {"id":"1"}`)
		join(0, "away", "userId=6&status=away", nil)
		w.hears(watcher, `add_user {"id":"6"}`+isAway)
		join(1, "away2", "userId=1", map[string]any{"status": "away"}) // other sockets are active
		w.hears(watcher)
		join(1, "a3", "userId=1", hidden)
		w.hears(watcher, `remove_user {"id":"1"}`+hiding)
	})
}
