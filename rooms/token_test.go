package rooms_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/rooms"
)

// asSigned takes a token for the user that it is the JSON of, with a lifetime
// before it: "1h {…}". A text that begins with "bad" is refused.
func asSigned(token string) (rooms.Identity, error) {
	life, user, ok := strings.Cut(token, " ")
	if !ok || life == "bad" {
		return rooms.Identity{}, errors.New("unknown")
	}
	who := rooms.Identity{User: []byte(user)}
	if d, err := time.ParseDuration(life); err == nil {
		who.Expires = time.Now().Add(d)
	}
	return who, nil
}

// withTokens tells a story on a server that asks for tokens.
func withTokens(t *testing.T, story func(w *town, connect func(instance int, id, token, query string) *fakeConn)) {
	inTown(t, 2, rooms.Options{Authenticate: asSigned, MaxUser: 200, AllowGuests: true}, func(w *town) {
		story(w, func(instance int, id, token, query string) *fakeConn {
			c := &fakeConn{id: id}
			w.home[c] = w.instances[instance]
			if _, err := w.home[c].Connect(c, handshakeOf(query, map[string]any{"token": token})); err != nil {
				t.Fatal(err)
			}
			return c
		})
	})
}

func renewal(token string) string { return fmt.Sprintf(`{"token":%q}`, token) }

func TestRenew(t *testing.T) {
	withTokens(t, func(w *town, connect func(int, string, string, string) *fakeConn) {
		watcher := connect(1, "w", `1h {"id":"w"}`, watches)
		w.do(watcher, "sync")
		w.hears(watcher, `online_users [{"id":"w"}]`)
		a := connect(0, "a", `10m {"id":1,"name":"Ada"}`, "presence=none")
		w.do(a, "join", `{"room":"r"}`)
		w.do(watcher, "join", `{"room":"r","username":"w"}`)
		w.settle()
		watcher.told()
		time.Sleep(5 * time.Minute)
		if reply := w.do(a, "renew", renewal(`10m {"id":1,"name":"Ada Lovelace"}`)); reply["expires_in"] != 600 {
			t.Error(reply)
		}
		w.hears(watcher, `update_user {"id":1,"name":"Ada Lovelace"}`) // and neither leaves nor comes
		w.do(a, "register", `{"id":"1","mood":"good","tags":[1,{"x":2}]}`)
		w.hears(watcher, `update_user {"id":1,"name":"Ada Lovelace","mood":"good","tags":[1,{"x":2}]}`)
		a.told()

		// Refusals leave the old token as it is.
		for code, tokens := range map[string][]string{
			"unauthorized":   {`bad {"id":1}`, ``, `x`, `1h {"name":"nobody"}`},
			"forbidden":      {`1h {"id":2}`, `1h {"id":"1 "}`},
			"bad_user":       {`1h {"id":1,"x":1e999}`},
			"user_too_large": {`1h {"id":1,"x":"` + strings.Repeat("x", 200) + `"}`, `1h {"id":1,"x":"` + strings.Repeat("x", 170) + `"}`},
		} {
			for _, token := range tokens {
				w.refused(a, code, "renew", renewal(token))
			}
		}
		for _, args := range []string{`null`, `{}`, `{"token":7}`, `{"token":null}`, `"x"`} {
			w.refused(a, "unauthorized", "renew", args)
		}
		w.refused(a, "unauthorized", "renew")
		w.hears(watcher)

		// The token that came first is over now; the second warns and ends.
		time.Sleep(9 * time.Minute)
		w.settle()
		expect(t, a.told(), `token_expiring {"expires_in":60}`)
		w.do(a, "renew", renewal(`20s {"id":1,"mood":"mine","name":"Ada"}`))
		w.hears(watcher, `update_user {"id":1,"mood":"mine","name":"Ada","tags":[1,{"x":2}]}`)
		time.Sleep(9 * time.Second)
		w.hears(a, `token_expiring {"expires_in":10}`)
		time.Sleep(8 * time.Second)
		if a.closed() {
			t.Error("it was closed before its end")
		}
		time.Sleep(2 * time.Second)
		if !a.closed() || !a.again {
			t.Error("it is still there")
		}

		// One without an end, and a renewal after unregister shows nobody.
		b := connect(0, "b", `10s {"id":2}`, "presence=none")
		w.do(b, "unregister")
		w.settle()
		watcher.told()
		if reply := w.do(b, "renew", renewal(`never {"id":2,"name":"Bob"}`)); reply["expires_in"] != nil {
			t.Error(reply)
		}
		w.hears(watcher)
		w.do(b, "register", `{"id":2}`)
		w.hears(watcher, `add_user {"id":2,"name":"Bob"}`)
		time.Sleep(time.Hour)
		if b.closed() {
			t.Error("a token without an end ended")
		}
		guest := connect(0, "g", "", "presence=none")
		w.refused(guest, "forbidden", "renew", renewal(`1h {"id":1}`))
	})
	inTown(t, 1, rooms.Options{}, func(w *town) {
		w.refused(w.connect(0, "c", ""), "unauthorized", "renew", renewal(`1h {"id":1}`))
	})
}

// A hidden user's renewal shows nothing.
func TestRenewHidden(t *testing.T) {
	withTokens(t, func(w *town, connect func(int, string, string, string) *fakeConn) {
		watcher := connect(1, "w", "", watches)
		w.do(watcher, "sync")
		w.hears(watcher, `online_users []`)
		a := connect(0, "a", `10m {"id":1}`, "presence=none&status=hidden")
		w.do(a, "renew", renewal(`10m {"id":1,"name":"Ada"}`))
		w.hears(watcher)
		if got := w.instances[1].User(t.Context(), "1"); got != (rooms.UserInfo{ID: "1"}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestTokenFieldsAreFixed(t *testing.T) {
	withTokens(t, func(w *town, connect func(int, string, string, string) *fakeConn) {
		const signed = `{"id":7, "name":"Ada","role":null,"n":12345678901234567890,"f":1.50,"o":{"a":1,"b":[2,"\u00e9"]}}`
		a := connect(0, "a", "1h "+signed, "presence=none")
		list := func() string { w.settle(); return string(w.instances[1].OnlineUsers()) }
		for _, same := range []string{
			`{"id":7}`, `{"id":"7"}`, `{"id":7.0,"name":"\u0041da"}`, `{"id":7,"role":null,"n":12345678901234567890}`,
			`{"id":7,"f":15e-1}`, `{"id":7,"o":{"b":[2.0,"é"],"a":1.0}}`, signed,
		} {
			w.do(a, "register", same)
			if got := list(); got != "["+signed+"]" {
				t.Errorf("%s: listed are %s", same, got)
			}
		}
		for field, other := range map[string]string{
			"name": `{"id":7,"name":"Eve"}`, `"\u006eame"`: `{"id":7,"\u006eame":"Eve"}`, "twice": `{"id":7,"name":"Ada","name":"Eve"}`,
			"role": `{"id":7,"role":"admin"}`, "n": `{"id":7,"n":12345678901234567891}`, "f": `{"id":7,"f":"1.50"}`,
			"o": `{"id":7,"o":{"a":1}}`, "oo": `{"id":7,"o":{"a":1,"b":[2,"é"],"c":3}}`, "ooo": `{"id":7,"o":{"a":1,"b":["é",2]}}`,
			"another field within": `{"id":7,"o":{"a":1,"c":[2,"é"]}}`, "a longer list": `{"id":7,"o":{"a":1,"b":[2,"é",3]}}`, "a shorter list": `{"id":7,"o":{"a":1,"b":[2]}}`,
		} {
			w.refused(a, "forbidden", "register", other)
			_, err := w.instances[0].Handle(a, "register", raw([]string{other}))
			if err == nil {
				continue // refused has told it
			}
			if len(field) <= 2 && !strings.Contains(err.Error(), fmt.Sprintf("%q", field[:1])) || field == "name" && !strings.Contains(err.Error(), `"name"`) {
				t.Errorf("%s is not named: %v", field, err)
			}
		}
		w.do(a, "register", ` {"mood": "good","id":7, "role":null,"x":[1, 2]} `)
		if got, want := list(), `[`+signed[:len(signed)-1]+`,"mood":"good","x":[1, 2]}]`; got != want {
			t.Errorf("listed are %s, want %s", got, want)
		}
		w.refused(a, "user_too_large", "register", `{"id":7,"pad":"`+strings.Repeat("x", 120)+`"}`) // only together
		w.do(a, "register", `{"id":7,"mood":"better"}`)                                             // replaces what was added
		if got, want := list(), `[`+signed[:len(signed)-1]+`,"mood":"better"}]`; got != want {
			t.Errorf("listed are %s, want %s", got, want)
		}

		// The name in chat rooms.
		for _, args := range []string{`{"room":"r"}`, `{"room":"r","username":" Ada "}`, `{"room":"r","username":""}`,
			`{"room":"r","user":{"id":"7","name":"Ada","more":1}}`, `{"room":"r","user":{"username":"Eve"}}`} {
			if reply := w.do(a, "join", args); reply["username"] != "Ada" {
				t.Errorf("%s: %v", args, reply)
			}
		}
		for _, args := range []string{`{"room":"r","username":"Eve"}`, `{"room":"r","user":{"name":"Eve"}}`, `{"room":"r","user":{"id":8}}`} {
			w.refused(a, "forbidden", "join", args)
		}
		free := connect(0, "b", `1h {"id":8,"role":"x"}`, "presence=none")
		if reply := w.do(free, "join", `{"room":"r","username":"Bob"}`); reply["username"] != "Bob" {
			t.Error(reply)
		}
		w.refused(free, "forbidden", "join", `{"room":"r","username":"Bob","user":{"role":"admin"}}`)
		long := connect(0, "c", `1h {"id":9,"name":"`+strings.Repeat("é", 70)+`"}`, "presence=none")
		if reply := w.do(long, "join", `{"room":"r"}`); reply["username"] != strings.Repeat("é", 64) {
			t.Error(reply)
		}
	})
}
