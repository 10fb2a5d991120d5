package rooms_test

import (
	"slices"
	"strings"
	"testing"

	"rollcall/rooms"
)

// nothings are what JavaScript clients send in place of values that they do not have.
var nothings = []string{"", "undefined", "null", "NaN", "[object Object]"}

// What a socket receives when another one registers tells its subscription.
func TestSubscriptionOfHandshake(t *testing.T) {
	received := map[string][]string{
		"both": {"add_user {}", "online_users [{}]"}, "list": {"online_users [{}]"}, "count": {"online_count 1"},
	}
	auth := func(v any) map[string]any { return map[string]any{"presence": v} }
	type row struct {
		query string
		auth  map[string]any
		want  string // "": it is refused
	}
	rows := []row{
		{"", nil, "both"},
		{"EIO=3", map[string]any{}, "both"},
		{"presence=both", nil, "both"},
		{"presence=list", nil, "list"},
		{"presence=changes", nil, "changes"},
		{"presence=count", nil, "count"},
		{"presence=none", nil, "none"},
		{"presence=none&presence=bogus", nil, "none"},
		{"", auth("list"), "list"},
		{"presence=bogus", auth("list"), "list"},
		{"presence=count", auth(1.0), "count"},
		{"presence=count", auth("undefined"), "count"},
		{"", auth(nil), "both"},
		{"presence=everything", nil, ""},
		{"presence=Both", nil, ""},
		{"presence=list", auth("bogus"), ""},
		{"presence=list", auth(""), "list"},
		{"", auth(map[string]any{"presence": "none"}), "both"},
		{"", auth([]any{"none"}), "both"},
	}
	for _, nothing := range nothings {
		rows = append(rows, row{"presence=" + nothing, nil, "both"})
	}
	for _, r := range rows {
		f := newFixture(t, rooms.Options{})
		c, err := f.open(0, "a", handshake(r.query, r.auth))
		if r.want == "" {
			if code(err) != "bad_presence" || f.rooms.Counts().Connections != 0 {
				t.Errorf("%q %v: got %v, want bad_presence", r.query, r.auth, err)
			}
			continue
		}
		f.settle(c) // the count on connecting
		f.register(0, "b", `{}`)
		f.settle()
		if got := c.received(); err != nil || !slices.Equal(got, received[r.want]) {
			t.Errorf("%q %v: %v; received %q, want %q", r.query, r.auth, err, got, received[r.want])
		}
	}
}

func TestSocketIDsAreUnique(t *testing.T) {
	f := newFixture(t, rooms.Options{})
	f.register(0, "a", one)
	if _, err := f.open(0, "a", rooms.Handshake{}); err == nil {
		t.Error("a second socket of one id was accepted")
	}
	if got := f.rooms.Counts(); got != (rooms.Counts{Users: 1, Sockets: 1, Connections: 1}) {
		t.Errorf("%+v", got)
	}
}

// An id that is nothing registers nobody. An unknown status is refused, also one
// that is no text, since it may have been meant to hide.
func TestUserOfHandshake(t *testing.T) {
	status := func(v any) map[string]any { return map[string]any{"status": v} }
	type row struct {
		query      string
		auth       map[string]any
		list, code string
	}
	rows := []row{
		{"userId=0", nil, `[{"id":"0"}]`, ""},
		{"userId=false", nil, `[{"id":"false"}]`, ""},
		{"userId=Undefined", nil, `[{"id":"Undefined"}]`, ""},
		{"userId=+", nil, `[{"id":" "}]`, ""},
		{"userId=1", status(nil), `[{"id":"1"}]`, ""},
		{"userId=1&status=Hidden", nil, "[]", "bad_status"},
		{"userId=1", status("invisible"), "[]", "bad_status"},
		{"userId=1", status([]any{"hidden"}), "[]", "bad_status"},
		{"userId=1", status(1.0), "[]", "bad_status"},
		{"userId=" + strings.Repeat("x", 5000), nil, "[]", "user_too_large"},
	}
	for _, nothing := range nothings {
		rows = append(rows, row{"userId=" + nothing, nil, "[]", ""}, row{"userId=1", status(nothing), `[{"id":"1"}]`, ""})
	}
	for _, r := range rows {
		f := newFixture(t, rooms.Options{})
		_, err := f.open(0, "c", handshake(r.query, r.auth))
		connected := f.rooms.Counts().Connections == 1
		if got := string(f.rooms.OnlineUsers()); got != r.list || code(err) != r.code || connected != (err == nil) {
			t.Errorf("%.40q %v: %v, connected: %v, the list is %s", r.query, r.auth, err, connected, got)
		}
	}
}

// A client that connects with ?userId= also gets the ids as an object.
func TestUserIDsAsObject(t *testing.T) {
	runInstances(t, 1, rooms.Options{}, func(f *fixture) {
		a := f.connect(0, "a", "userId=7")
		a.expectLast(`add_user {"id":"7"}`, `online_users [{"id":"7"}]`, `updateOnlineUsers {"7":true}`)
		b := f.connect(0, "b", "userId=%22x%22&presence=list")
		b.expectLast(`online_users [{"id":"7"},{"id":"\"x\""}]`, `updateOnlineUsers {"7":true,"\"x\"":true}`)
		b.disconnect()
		f.settle(a)
		a.do("sync")
		a.expect(`online_users [{"id":"7"}]`, `updateOnlineUsers {"7":true}`)
	})
}

// A client that connects as hidden is never seen to arrive, is not noted as
// active, and is hidden in every socket; the other statuses show nobody who hides.
func TestStatusOfHandshake(t *testing.T) {
	runInstances(t, 2, rooms.Options{}, func(f *fixture) {
		watcher := f.watcher(0)
		hidden := none + "&status=hidden"
		a := f.connect(0, "a", hidden+"&userId=1")
		a.do("heartbeat")
		b, err := f.open(1, "b", handshake(none+"&userId=2&status=active", map[string]any{"status": "hidden"}))
		if err != nil {
			f.t.Fatal(err)
		}
		b.do("register", `{"id":"2","again":true}`)
		late := f.connect(1, "late", hidden)
		late.do("register", `{"id":3}`)
		late.do("unregister")
		late.do("register", `{"id":4}`)
		late.do("register", `{"id":5}`)
		watcher.expect()
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			if got := f.rooms.User(t.Context(), id); got != (rooms.UserInfo{ID: id}) {
				f.t.Errorf("%+v", got)
			}
		}
		f.connect(1, "a2", none+"&userId=1&status=active") // that is no choice
		watcher.expect()
		a.do("status", `"active"`)
		watcher.expect(`add_user {"id":"1"}`)
		f.connect(0, "away", none+"&userId=6&status=away")
		watcher.expect(`add_user {"id":"6"}` + isAway)
		f.connect(1, "away2", none+"&userId=1&status=away") // the other sockets are active
		watcher.expect()
		f.connect(1, "a3", hidden+"&userId=1")
		watcher.expect(`remove_user {"id":"1"}` + hiding)
	})
}

func TestTokenDecidesTheUser(t *testing.T) {
	runInstances(t, 1, rooms.Options{Authenticate: asSigned}, func(f *fixture) {
		const ada = `1h {"id":1, "from":"token"}`
		auth := func(v any) map[string]any { return map[string]any{"token": v} }
		for _, h := range []rooms.Handshake{
			handshake("userId=9", nil), handshake("token=bad&userId=9", nil),
			handshake("", auth("")), handshake("", auth(1)), handshake(token(ada), auth("bad")),
		} {
			if _, err := f.open(0, "x", h); code(err) != "unauthorized" {
				f.t.Errorf("%v: %v", h, err)
			}
		}
		a, err := f.open(0, "a", handshake("userId=9", auth(ada)))
		if err != nil {
			f.t.Fatal(err)
		}
		// A flush may have come before the registering.
		a.expectLast(`add_user {"id":1, "from":"token"}`, `online_users [{"id":1, "from":"token"}]`, `updateOnlineUsers {"1":true}`)
		for _, other := range []string{`{"id":2}`, `{"name":"nobody"}`, `{"id":"a"}`} {
			a.refused("forbidden", "register", other)
		}
		a.do("register", `{"id":"1","new":true}`)
		a.do("unregister")
		a.refused("forbidden", "register", `{"id":2}`)
		b := f.connect(0, "b", token(`1h {"id":2}`)+"userId=9")
		b.expectLast(`online_users [{"id":2}]`, `updateOnlineUsers {"2":true}`)
		if n := f.rooms.Counts().Connections; n != 2 {
			f.t.Errorf("%d connections, want 2", n)
		}
	})
}
