package rooms_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/rooms"
)

// asSigned takes a token for the user that it is the JSON of, with a lifetime or
// "hidden" before it: "1h {…}". Without one it is refused.
func asSigned(token string) (rooms.Identity, error) {
	life, user, ok := strings.Cut(token, " ")
	if !ok {
		return rooms.Identity{}, errors.New("unknown")
	}
	who := rooms.Identity{User: []byte(user)}
	if life == "hidden" {
		who.Status = rooms.Hidden
	}
	if d, err := time.ParseDuration(life); err == nil {
		who.Expires = time.Now().Add(d)
	}
	return who, nil
}

// token is a token in a query, before other parameters.
func token(text string) string { return "token=" + url.QueryEscape(text) + "&" }

// renew sends another token.
func renew(c *conn, token string) map[string]any {
	c.fixture.t.Helper()
	return c.do("renew", fmt.Sprintf(`{"token":%q}`, token))
}

func runWithTokens(t *testing.T, test func(*fixture)) {
	runInstances(t, 2, rooms.Options{Authenticate: asSigned, MaxUser: 200, AllowGuests: true}, test)
}

func TestRenew(t *testing.T) {
	runWithTokens(t, func(f *fixture) {
		watcher := f.watcher(1)
		a := f.connect(0, "a", token(`10m {"id":1,"name":"Ada"}`)+none)
		other, gone := f.connect(0, "o", token(`10m {"id":3}`)+none), f.connect(0, "g", token(`10m {"id":3}`)+none)
		gone.disconnect() // and gets neither warning nor end
		for _, c := range []*conn{a, watcher} {
			c.do("join", `{"room":"r"}`)
		}
		f.settle(watcher)
		time.Sleep(5 * time.Minute)
		if reply := renew(a, `10m {"id":1,"name":"Ada Lovelace"}`); reply["expires_in"] != 600 {
			f.t.Error(reply)
		}
		watcher.expect(`update_user {"id":1,"name":"Ada Lovelace"}`) // and neither leaves nor comes
		a.do("register", `{"id":"1","mood":"good","tags":[1,{"x":2}]}`)
		watcher.expect(`update_user {"id":1,"name":"Ada Lovelace","mood":"good","tags":[1,{"x":2}]}`)
		a.take()

		// Refusals leave the old token as it is.
		pad := func(n int) string { return `1h {"id":1,"x":"` + strings.Repeat("x", n) + `"}` }
		for code, tokens := range map[string][]string{
			"unauthorized":   {`bad`, ``, `1h {"name":"nobody"}`},
			"forbidden":      {`1h {"id":2}`, `1h {"id":"1 "}`},
			"bad_user":       {`1h {"id":1,"x":1e999}`},
			"user_too_large": {pad(200), pad(170)},
		} {
			for _, token := range tokens {
				a.refused(code, "renew", fmt.Sprintf(`{"token":%q}`, token))
			}
		}
		for _, args := range [][]string{{`null`}, {`{}`}, {`{"token":7}`}, {`{"token":null}`}, {`"x"`}, nil} {
			a.refused("unauthorized", "renew", args...)
		}
		watcher.expect()

		// The first token has expired; the second warns and ends.
		time.Sleep(9 * time.Minute)
		a.expect(`token_expiring {"expires_in":60}`)
		other.expectNow(`token_expiring {"expires_in":60}`)
		gone.expectNow()
		if !other.closed() || !other.again || gone.closed() {
			f.t.Errorf("closed at the end of the first token: %v, gone before it: %v", other.closed(), gone.closed())
		}
		renew(a, `20s {"id":1,"mood":"mine","name":"Ada"}`)
		watcher.expect(`update_user {"id":1,"mood":"mine","name":"Ada","tags":[1,{"x":2}]}`)
		time.Sleep(9 * time.Second)
		a.expect(`token_expiring {"expires_in":10}`)
		time.Sleep(8 * time.Second)
		if a.closed() {
			f.t.Error("it was closed before its token expires")
		}
		time.Sleep(2 * time.Second)
		if !a.closed() || !a.again {
			f.t.Error("it is still there")
		}
	})
}

// A token may have no end, and a renewal after unregister shows nobody.
func TestRenewUnregistered(t *testing.T) {
	runWithTokens(t, func(f *fixture) {
		watcher := f.watcher(1)
		b := f.connect(0, "b", token(`10s {"id":2}`)+none)
		b.do("unregister")
		f.settle(watcher)
		if reply := renew(b, `never {"id":2,"name":"Bob"}`); reply["expires_in"] != nil {
			f.t.Error(reply)
		}
		watcher.expect()
		b.do("register", `{"id":2}`)
		watcher.expect(`add_user {"id":2,"name":"Bob"}`)
		time.Sleep(time.Hour)
		if b.closed() {
			f.t.Error("a token without an end expired")
		}
	})
}

func TestRenewHiddenUserShowsNothing(t *testing.T) {
	runWithTokens(t, func(f *fixture) {
		watcher := f.watcher(1)
		renew(f.connect(0, "a", token(`hidden {"id":1}`)+none+"&status=active"), `10m {"id":1,"name":"Ada"}`)
		watcher.expect()
		if got := f.instances[1].User(t.Context(), "1"); got != (rooms.UserInfo{ID: "1"}) {
			f.t.Errorf("%+v", got)
		}
	})
}

func TestRenewWithoutTokenIsRefused(t *testing.T) {
	const other = `{"token":"1h {\"id\":1}"}`
	runWithTokens(t, func(f *fixture) { f.connect(0, "guest", "").refused("forbidden", "renew", other) })
	f := newFixture(t, rooms.Options{})
	f.connect(0, "c", "").refused("unauthorized", "renew", other)
}

func TestTokenFieldsAreFixed(t *testing.T) {
	runWithTokens(t, func(f *fixture) {
		const fields = `"id":7, "name":"Ada","role":null,"n":12345678901234567890,"f":1.50,"o":{"a":1,"b":[2,"\u00e9"]}`
		a := f.connect(0, "a", token("1h {"+fields+"}")+none)
		for _, same := range []string{
			`{"id":7}`, `{"id":"7"}`, `{"id":7.0,"name":"\u0041da"}`, `{"id":7,"role":null,"n":12345678901234567890}`,
			`{"id":7,"f":15e-1}`, `{"id":7,"o":{"b":[2.0,"é"],"a":1.0}}`, "{" + fields + "}",
		} {
			a.do("register", same)
			f.expectList("[{" + fields + "}]")
		}
		for _, c := range []struct{ field, user string }{
			{"name", `{"id":7,"name":"Eve"}`},
			{"name", `{"id":7,"\u006eame":"Eve"}`},
			{"name", `{"id":7,"name":"Ada","name":"Eve"}`},
			{"role", `{"id":7,"role":"admin"}`},
			{"n", `{"id":7,"n":12345678901234567891}`},
			{"f", `{"id":7,"f":"1.50"}`},
			{"o", `{"id":7,"o":{"a":1}}`},
			{"o", `{"id":7,"o":{"a":1,"b":[2,"é"],"c":3}}`},
			{"o", `{"id":7,"o":{"a":1,"b":["é",2]}}`},
			{"o", `{"id":7,"o":{"a":1,"c":[2,"é"]}}`},
			{"o", `{"id":7,"o":{"a":1,"b":[2,"é",3]}}`},
			{"o", `{"id":7,"o":{"a":1,"b":[2]}}`},
		} {
			_, err := a.handle("register", c.user)
			if code(err) != "forbidden" || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.field)) {
				f.t.Errorf("%s: got %v, want forbidden that names %s", c.user, err, c.field)
			}
		}
		a.do("register", ` {"mood": "good","id":7, "role":null,"x":[1, 2]} `)
		f.expectList(`[{` + fields + `,"mood":"good","x":[1, 2]}]`)
		// Only together they are too large.
		a.refused("user_too_large", "register", `{"id":7,"pad":"`+strings.Repeat("x", 120)+`"}`)
		a.do("register", `{"id":7,"mood":"better"}`) // replaces what was added
		f.expectList(`[{` + fields + `,"mood":"better"}]`)
	})
}

func TestTokenFixesTheNameInRooms(t *testing.T) {
	runWithTokens(t, func(f *fixture) {
		ada := f.connect(0, "a", token(`1h {"id":7,"name":"Ada"}`)+none)
		free := f.connect(0, "b", token(`1h {"id":8,"role":"x"}`)+none)
		long := f.connect(0, "c", token(`1h {"id":9,"name":"`+strings.Repeat("é", 70)+`"}`)+none)
		for _, c := range []struct {
			conn      *conn
			who, want string // "": it is refused
		}{
			{ada, ``, "Ada"},
			{ada, `,"username":" Ada "`, "Ada"},
			{ada, `,"username":""`, "Ada"},
			{ada, `,"user":{"id":"7","name":"Ada","more":1}`, "Ada"},
			{ada, `,"user":{"username":"Eve"}`, "Ada"},
			{ada, `,"username":"Eve"`, ""},
			{ada, `,"user":{"name":"Eve"}`, ""},
			{ada, `,"user":{"id":8}`, ""},
			{free, `,"username":"Bob"`, "Bob"},
			{free, `,"username":"Bob","user":{"role":"admin"}`, ""},
			{long, ``, strings.Repeat("é", 64)},
		} {
			if c.want == "" {
				c.conn.refused("forbidden", "join", `{"room":"r"`+c.who+`}`)
			} else if reply := c.conn.do("join", `{"room":"r"`+c.who+`}`); reply["username"] != c.want {
				f.t.Errorf("%s: %v, want %s", c.who, reply, c.want)
			}
		}
	})
}

// With tokens a client acts only as itself, and a guest, who has no id, as nobody else.
func TestActingAsOthersIsForbidden(t *testing.T) {
	runInstances(t, 1, rooms.Options{Authenticate: asSigned, AllowGuests: true}, func(f *fixture) {
		user := f.connect(0, "user", token(`1h {"id":666}`))
		guests := []*conn{f.connect(0, "guest", "userId=9"), f.connect(0, "guest2", "token=bad&userId=9")}
		for _, c := range guests {
			c.refused("forbidden", "register", one)
			c.do("register", `{"name":"guest"}`)
			c.do("join", `{"room":"r"}`)
		}
		for _, c := range append(guests, user) {
			c.do("add_car", `{"race_id":"x"}`)
			c.do("join_stage", `{"token":"t"}`)
			for _, id := range []string{"7", `"7"`, "8", `"666 "`} {
				c.refused("forbidden", "add_car", `{"race_id":"x","id":`+id+`}`)
				c.refused("forbidden", "join_stage", `{"token":"t","id":`+id+`}`)
				c.refused("forbidden", "update_x_speed", `{"id":`+id+`,"speed":1}`)
			}
			c.refused("bad_speed", "update_x_speed", `{"id":[7]}`)
			c.do("update_x_speed", `{"speed":1}`)
			c.do("update_x_speed", `5`)
		}
		user.do("add_car", `{"race_id":"x","id":"666"}`)
		user.do("update_x_speed", `{"id":666.0,"speed":1}`)
	})
}
