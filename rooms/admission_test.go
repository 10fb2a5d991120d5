package rooms_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/rooms"
)

// tokens knows "<id>" and "<id>:<seconds until it runs out>" for 1 and 2.
func tokens(start time.Time) func(string) (rooms.Identity, error) {
	return func(token string) (rooms.Identity, error) {
		id, life, _ := strings.Cut(token, ":")
		if id != "1" && id != "2" {
			return rooms.Identity{}, errors.New("unknown")
		}
		who := rooms.Identity{User: []byte(`{"id":` + id + `, "from":"token"}`)}
		if seconds, err := time.ParseDuration(life); err == nil {
			who.Expires = start.Add(seconds)
		}
		return who, nil
	}
}

func underGuard(t *testing.T, guests bool, story func(w *town, try func(id, query string, auth map[string]any) (*fakeConn, error))) {
	var options rooms.Options
	options.AllowGuests = guests
	var start time.Time
	options.Authenticate = func(token string) (rooms.Identity, error) { return tokens(start)(token) }
	inTown(t, 1, options, func(w *town) {
		start = time.Now()
		story(w, func(id, query string, auth map[string]any) (*fakeConn, error) {
			c := &fakeConn{id: id}
			w.home[c] = w.instances[0]
			h := handshake("")
			if query != "" {
				h.Query = map[string][]string{"token": {query}, "userId": {"9"}}
			}
			h.Auth = auth
			_, err := w.instances[0].Connect(c, h)
			return c, err
		})
	})
}

func TestToken(t *testing.T) {
	underGuard(t, false, func(w *town, try func(string, string, map[string]any) (*fakeConn, error)) {
		for _, c := range []struct {
			query string
			auth  map[string]any
		}{{"", nil}, {"9", nil}, {"", map[string]any{"token": ""}}, {"", map[string]any{"token": 1}}, {"1", map[string]any{"token": "9"}}} {
			if _, err := try("x", c.query, c.auth); err == nil || !strings.HasPrefix(err.Error(), "unauthorized") {
				t.Errorf("%v: %v", c, err)
			}
		}
		a, err := try("a", "", map[string]any{"token": "1"})
		if err != nil {
			t.Fatal(err)
		}
		w.settle()
		told := a.told() // a flush may have come before the registering
		expect(t, told[max(0, len(told)-2):], `add_user {"id":1, "from":"token"}`, `online_users [{"id":1, "from":"token"}]`)
		for _, other := range []string{`{"id":2}`, `{"name":"nobody"}`, `{"id":"a"}`} {
			w.refused(a, "forbidden", "register", other)
		}
		w.refused(a, "forbidden", "join_stage", `{"token":"t","id":2}`)
		w.do(a, "join_stage", `{"token":"t","id":1}`)
		w.do(a, "register", `{"id":"1","new":true}`)
		w.do(a, "unregister")
		w.refused(a, "forbidden", "register", `{"id":2}`)
		b, err := try("b", "2", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.settle()
		if told := b.told(); !slices.Contains(told, `online_users [{"id":2, "from":"token"}]`) {
			t.Error(told)
		}
		if n := w.instances[0].Counts().Connections; n != 2 {
			t.Error(n, "connections")
		}
	})
}

func TestGuests(t *testing.T) {
	underGuard(t, true, func(w *town, try func(string, string, map[string]any) (*fakeConn, error)) {
		for _, token := range []string{"", "9"} {
			c, err := try("guest"+token, token, nil)
			if err != nil {
				t.Fatal(err)
			}
			w.refused(c, "forbidden", "register", `{"id":1}`)
			w.refused(c, "forbidden", "join_stage", `{"token":"t","id":1}`)
			w.do(c, "register", `{"name":"guest"}`)
			w.do(c, "join", `{"room":"r"}`)
		}
	})
}

// A socket whose token runs out is warned, closed so that it comes back, and
// one that is gone before leaves no timer behind (the bubble of the test would
// wait for it).
func TestTokenRunsOut(t *testing.T) {
	underGuard(t, false, func(w *town, try func(string, string, map[string]any) (*fakeConn, error)) {
		hour, err := try("hour", "1:1h", nil)
		if err != nil {
			t.Fatal(err)
		}
		short, _ := try("short", "2:10s", nil)
		gone, _ := try("gone", "2:1h", nil)
		w.disconnect(gone)
		w.settle()
		hour.told()
		short.told()
		time.Sleep(5 * time.Second)
		w.hears(short, `token_expiring {"expires_in":5}`)
		time.Sleep(5 * time.Second)
		if !short.closed() || !short.again {
			t.Error("it is still there")
		}
		time.Sleep(59*time.Minute - 10*time.Second)
		w.settle()
		if told := hour.told(); !slices.Contains(told, `token_expiring {"expires_in":60}`) || hour.closed() {
			t.Error(told, hour.closed())
		}
		time.Sleep(time.Minute)
		if !hour.closed() {
			t.Error("it is still there")
		}
		if gone.closed() {
			t.Error("somebody who is gone was closed")
		}
	})
}
