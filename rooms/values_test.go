package rooms_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"rollcall/rooms"
)

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// readable are values that every parser reads; unreadable, that some refuse or
// cannot write again.
var (
	readable = []string{
		`null`, `7`, `-0`, `"x"`, `[]`, `{}`, nested(rooms.MaxDepth), `[` + strings.Repeat(`[],`, 1000) + `[]]`,
		strings.Repeat(`{"a":`, rooms.MaxDepth) + `1` + strings.Repeat(`}`, rooms.MaxDepth),
		`"\ud83d\ude00"`, `"\uD83D\uDE00 \uDBFF\uDFFF"`, `"😀"`, `"\\ud800"`, `"[[[[\"]]"`, `"\"\\"`, `"a\u0000b"`, `"\uffff\ue000\ud7ff"`,
		`1e308`, `-1.7976931348623157e308`, `1e-999`, `0.1e1`, `1` + strings.Repeat("0", 308), `0.` + strings.Repeat("1", 3000),
		" \t\r\n{ \"a\" : [ 1 , 2 ] } ", `{"\ud83d\ude00":{"x":[true,false,null]}}`,
	}
	unreadable = []string{
		nested(rooms.MaxDepth + 1), nested(101), strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat(`}`, 33),
		`[` + strings.Repeat(`[],`, 1000) + nested(rooms.MaxDepth) + `]`,
		`"\ud800"`, `"\udc00"`, `"x\ud83d"`, `"\ud83dx"`, `"\ud83d\\ude00"`, `"\ud83d\u0041"`, `"\ud83d\ud83d"`, `"\ud83d\ud83d\ude00"`,
		`"\ude00\ud83d"`, `"\\\ud800"`, `"\uDFFF"`, `{"\ud800":1}`, `[[{"a":"\ud800"}]]`,
		"\"\xed\xa0\x80\"", "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\xbd\xed\xb8\x80\"",
		`1e999`, `-1e999`, `1E309`, `[1.8e308]`, `{"a":1e+400}`, `1` + strings.Repeat("0", 309), `-9` + strings.Repeat("9", 3000),
		`1` + strings.Repeat("0", 400) + `.5`, `0.1e310`,
	}
)

func TestCheckJSON(t *testing.T) {
	for _, value := range readable {
		if err := rooms.CheckJSON([]byte(value)); err != nil || !json.Valid([]byte(value)) {
			t.Errorf("%.80s: %v", value, err)
		}
	}
	for _, value := range unreadable {
		if err := rooms.CheckJSON([]byte(value)); err == nil {
			t.Errorf("%.80q is accepted", value)
		}
	}
}

// FuzzCheckJSON holds what is accepted to what the standard library makes of
// it: the depth, the numbers, and text that is the same after a round trip.
func FuzzCheckJSON(f *testing.F) {
	for _, value := range append(readable, unreadable...) {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		err := rooms.CheckJSON(value) // must not panic on anything
		if !json.Valid(value) {
			return
		}
		if text := strings.ToLower(string(value)); strings.Contains(text, "fffd") || strings.Contains(text, "\ufffd") {
			return // may be what inspect looks for
		}
		var parsed any
		numbers := json.Unmarshal(value, &parsed) // fails for 1e999
		depth, replaced := inspect(value)
		sound := numbers == nil && utf8.Valid(value) && depth <= rooms.MaxDepth && !replaced
		if sound != (err == nil) {
			t.Fatalf("%q: %v, want sound %v", value, err, sound)
		}
	})
}

// inspect tells how deep valid JSON is nested, and whether a text in it has an escape
// that decoding replaces by U+FFFD: half of a surrogate pair.
func inspect(value []byte) (deepest int, replaced bool) {
	depth := 0
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber() // goes on behind 1e999
	for {
		token, err := d.Token()
		if err != nil {
			return deepest, replaced
		}
		switch token := token.(type) {
		case string:
			replaced = replaced || strings.ContainsRune(token, utf8.RuneError)
		case json.Delim:
			if token == '[' || token == '{' {
				depth++
				deepest = max(deepest, depth)
			} else {
				depth--
			}
		}
	}
}

// Ruby's own parser reads what is let through, also within a list of events,
// and can write it again. That it fails for what is refused shows the test.
func TestRubyReadsWhatIsAccepted(t *testing.T) {
	if _, err := exec.LookPath("ruby"); err != nil {
		t.Skip("ruby is not installed")
	}
	const program = `require "json"
		STDIN.each_line { |line| puts(begin JSON.parse(line).to_json.encode("utf-8"); "ok"; rescue => e; e.class end) }`
	var in strings.Builder
	for _, value := range append(readable, unreadable...) {
		if utf8.ValidString(value) {
			fmt.Fprintf(&in, "[[{\"id\":1,\"x\":%s}]]\n", strings.NewReplacer("\n", " ", "\r", " ").Replace(value))
		}
	}
	ruby := exec.CommandContext(t.Context(), "ruby", "-W0", "-E", "utf-8:utf-8", "-e", program)
	ruby.Stdin = strings.NewReader(in.String())
	out, err := ruby.CombinedOutput()
	results := strings.Fields(string(out))
	if err != nil || len(results) != strings.Count(in.String(), "\n") {
		t.Fatalf("%v: %s", err, out)
	}
	for i, value := range readable {
		if results[i] != "ok" {
			t.Errorf("%.80s: Ruby says %s", value, results[i])
		}
	}
	refused := 0
	for _, result := range results[len(readable):] {
		if result != "ok" {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("Ruby refuses only %d of the values that are refused here", refused)
	}
}

func BenchmarkCheckJSON(b *testing.B) {
	user := []byte(`{"id":1234567,"name":"Ada Lovelace","avatar":"https:\/\/example.com\/a.png","x":[1,2.5,{"a":null}],"bio":"` + strings.Repeat("é x", 60) + `"}`)
	b.SetBytes(int64(len(user)))
	b.ReportAllocs()
	for b.Loop() {
		if rooms.CheckJSON(user) != nil {
			b.Fatal()
		}
	}
}

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
