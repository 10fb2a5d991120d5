package rooms_test

import (
	"strings"
	"testing"

	"rollcall/rooms"
)

func TestIdentity(t *testing.T) {
	const anonymous = "(socket)"
	for _, c := range []struct{ user, id string }{
		{`{"id":"x"}`, "x"},
		{`{"id":5}`, "5"},
		{`{"id":"5"}`, "5"},
		{`{"id":5.0}`, "5"},
		{`{"id":5e0}`, "5"},
		{`{"id":0.5e1}`, "5"},
		{`{"id":-5}`, "-5"},
		{`{"id":0}`, "0"},
		{`{"id":-0}`, "0"},
		{`{"id":-0.0}`, "0"},
		{`{"id":1e-400}`, "0"},
		{`{"id":1.5}`, "1.5"},
		{`{"id":9007199254740993}`, "9007199254740993"},
		{`{"id":123456789012345678901234567890}`, "123456789012345678901234567890"},
		{`{"id":1e20}`, "100000000000000000000"},
		{`{"id":1E21}`, "1e+21"},
		{`{"id":0.000001}`, "0.000001"},
		{`{"id":0.0000001}`, "1e-7"},
		{`{"id":1.5e-10}`, "1.5e-10"},
		{`{"id":"\u00e9"}`, "é"},
		{`{"id":"😀"}`, "😀"},
		{`{"\u0069d":1}`, "1"},
		{`{"id":1,"id":2}`, "2"},
		{`{"id":[],"id":2}`, "2"},
		{`{"id":2,"id":null}`, anonymous},
		{" \t\r\n{\"id\":1} ", "1"},
		{`{"user":{"id":1}}`, anonymous},
		{`{"ID":1,"Id":2}`, anonymous},
		{`{}`, anonymous},
		{`{"id":null}`, anonymous},
		{`{"id":""}`, anonymous},
	} {
		id, bysocket, err := rooms.Identify(c.user, "socket 1")
		if bysocket {
			if id != "socket 1" {
				t.Errorf("%s: known by %q, not by the socket", c.user, id)
			}
			id = anonymous
		}
		if err != nil || id != c.id {
			t.Errorf("%s: got %q, %v; want %q", c.user, id, err, c.id)
		}
	}
}

func TestBadUsers(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	for _, user := range []string{
		``, ` `, `null`, `true`, `5`, `"x"`, `[]`, `[{"id":1}]`, `undefined`,
		`{`, `{"id":1`, `{"id":1}}`, `{"id":1} {}`, `{id:1}`, `{"id":01}`,
		`{"id":true}`, `{"id":false}`, `{"id":{}}`, `{"id":[1]}`, `{"id":1e400}`, `{"id":-1e400}`,
		`{"id":"\ud800"}`, "{\"id\":\"\xff\"}", "{\"id\":1,\"name\":\"\xc3\"}",
		deep, strings.Repeat("[", 1_000_000),
	} {
		_, _, err := rooms.Identify(user, "s")
		if code(err) != "bad_user" {
			t.Errorf("%.60s: got %v, want bad_user", user, err)
		}
	}
}

// FuzzIdentify looks for crashes, and for identities that depend on anything
// but the user.
func FuzzIdentify(f *testing.F) {
	for _, seed := range []string{`{"id":5.0}`, `{"id":"x","id":null}`, `{"\u0069d":1}`, `{"id":1e-7}`, `[`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, user string) {
		id, anonymous, err := rooms.Identify(user, "s")
		if err != nil {
			if code(err) != "bad_user" {
				t.Fatalf("%q: %v", user, err)
			}
			return
		}
		again, anonymousAgain, err := rooms.Identify(" "+user+" ", "other")
		if err != nil || anonymous != anonymousAgain || !anonymous && id != again {
			t.Fatalf("%q: %q and then %q, %v", user, id, again, err)
		}
	})
}
