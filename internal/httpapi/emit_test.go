package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/memory"
	"rollcall/rooms"
)

// post emits a body, with the key.
func (s *server) post(x exchange) exchange {
	s.t.Helper()
	x.method, x.path = "POST", "/api/emit"
	return s.exchange(x, "Authorization", withKey, "Content-Type", "application/json")
}

func args(texts ...string) []json.RawMessage {
	out := []json.RawMessage{}
	for _, text := range texts {
		out = append(out, json.RawMessage(text))
	}
	return out
}

func TestEmit(t *testing.T) {
	for body, want := range map[string]rooms.Broadcast{
		`{"event":"x"}`: {Event: rooms.Event{Name: "x"}},
		"\t{ \"to\" : null , \"args\" : [ ] , \"event\" : \"x\\u00e9 \" }\n": {Event: rooms.Event{Name: "xé ", Args: args()}},
		`{"event":"x","args":[12345678901234567890, 1.50, -0, 1E40, {"b":1 , "a":[ ]}, "\u00e9\/", null,true]}`: {
			Event: rooms.Event{Name: "x", Args: args("12345678901234567890", "1.50", "-0", "1E40", `{"b":1 , "a":[ ]}`, `"\u00e9\/"`, "null", "true")},
		},
		`{"event":"x","to":{"room":"a/b"}}`:                   {Event: rooms.Event{Name: "x"}, Rooms: []string{rooms.RoomList("a/b")}},
		`{"event":"x","to":{"room":5}}`:                       {Event: rooms.Event{Name: "x"}, Rooms: []string{rooms.RoomList("5")}},
		`{"event":"x","to":{"user":"a\/b"}}`:                  {Event: rooms.Event{Name: "x"}, Rooms: []string{rooms.UserRoom("a/b")}},
		`{"event":"x","to":{"user":-12345678901234567890}}`:   {Event: rooms.Event{Name: "x"}, Rooms: []string{rooms.UserRoom("-12345678901234567890")}},
		`{"event":"x","to":{"user":0}}`:                       {Event: rooms.Event{Name: "x"}, Rooms: []string{rooms.UserRoom("0")}},
		`{"event":"x","to":{"room":"` + long(maxRoom) + `"}}`: {Event: rooms.Event{Name: "x"}, Rooms: []string{rooms.RoomList(long(maxRoom))}},
		`{"event":"x","to":{"user":"` + long(maxID) + `"}}`:   {Event: rooms.Event{Name: "x"}, Rooms: []string{rooms.UserRoom(long(maxID))}},
	} {
		s := serve(t, Options{Key: theKey})
		s.want(s.post(exchange{body: body}), 200, `{"ok":true}`)
		if diff := cmp.Diff([]rooms.Broadcast{want}, s.emitted); diff != "" {
			t.Errorf("%.100s:\n%s", body, diff)
		}
	}
}

func long(bytes int) string { return strings.Repeat("é", bytes/2) }

func TestEmitRefused(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	for code, bodies := range map[string][]string{
		"bad_json": {
			``, ` `, `{`, `[]`, `"x"`, `7`, `null`, `{"event":"x"} {}`, `{"event":"x",}`, `{"event":"x","args":[1,]}`, `{'event':'x'}`,
			"{\"event\":\"x\xff\"}", "{\"event\":\"x\",\"to\":{\"room\":\"\t\"}}",
			`{"event":"x","room":"a"}`, `{"event":"x","Args":[]}`, `{"Event":"x"}`, `{"event":"x","":1}`,
		},
		"bad_event": {
			`{}`, `{"event":null}`, `{"event":7}`, `{"event":["x"]}`, `{"event":""}`, `{"args":[]}`,
			`{"event":"connect"}`, `{"event":"connect_error"}`, `{"event":"disconnect"}`, `{"event":"disconnecting"}`,
			`{"event":"newListener"}`, `{"event":"removeListener"}`,
		},
		"bad_args": {`{"event":"x","args":null}`, `{"event":"x","args":{}}`, `{"event":"x","args":"[]"}`, `{"event":"x","args":1}`},
		"bad_to": {
			`{"event":"x","to":{}}`, `{"event":"x","to":"a"}`, `{"event":"x","to":7}`, `{"event":"x","to":[]}`, `{"event":"x","to":false}`,
			`{"event":"x","to":{"room":"a","user":7}}`, `{"event":"x","to":{"socket":"a"}}`, `{"event":"x","to":{"Room":"a"}}`,
			`{"event":"x","to":{"room":""}}`, `{"event":"x","to":{"room":null}}`, `{"event":"x","to":{"room":{}}}`, `{"event":"x","to":{"room":true}}`,
			`{"event":"x","to":{"user":""}}`, `{"event":"x","to":{"user":null}}`, `{"event":"x","to":{"user":[7]}}`, `{"event":"x","to":{"user":1.5}}`,
			`{"event":"x","to":{"room":"` + strings.Repeat("a", maxRoom+1) + `"}}`,
			`{"event":"x","to":{"user":"` + strings.Repeat("a", maxID+1) + `"}}`,
		},
	} {
		for _, body := range bodies {
			s.want(s.post(exchange{body: body, beyond: !json.Valid([]byte(body)) || !isUTF8(body)}), 400, code)
		}
	}
	// More than a schema can say.
	for body, code := range map[string]string{
		`{"event":"x","event":"y"}`:                                        "bad_json",
		`{"event":"x","to":{"user":7},"to":null}`:                          "bad_json",
		`{"event":"x","to":{"user":7,"user":8}}`:                           "bad_to",
		`{"event":"x","to":{"room":"` + long(maxRoom) + `a"}}`:             "bad_to",
		`{"event":"x","to":{"user":7.0}}`:                                  "bad_to",
		`{"event":"x","to":{"user":1e3}}`:                                  "bad_to",
		`{"event":"x","to":{"user":-0}}`:                                   "bad_to",
		`{"event":"x","to":{"user":"\ud800"}}`:                             "bad_to",
		`{"event":"x","to":{"user":` + strings.Repeat("1", maxID+1) + `}}`: "bad_to",
		// What other parsers cannot read.
		`{"event":"x","args":[` + strings.Repeat("[", rooms.MaxDepth+1) + strings.Repeat("]", rooms.MaxDepth+1) + `]}`: "bad_args",
		`{"event":"x","args":[1,"\ud800"]}`:  "bad_args",
		`{"event":"x","args":[{"a":1e999}]}`: "bad_args",
	} {
		s.want(s.post(exchange{body: body, beyond: true}), 400, code)
	}
	if len(s.emitted) > 0 {
		t.Errorf("emitted: %v", s.emitted)
	}
}

func isUTF8(s string) bool { return strings.ToValidUTF8(s, "") == s }

// The limit applies to the bytes that arrive, whatever Content-Length says.
func TestEmitTooLarge(t *testing.T) {
	s := serve(t, Options{Key: theKey, MaxBody: 2000})
	body := `{"event":"x","args":["` + strings.Repeat("a", 2000-25) + `"]}`
	s.want(s.post(exchange{body: body}), 200, `{"ok":true}`)
	s.want(s.post(exchange{body: body + " "}), 413, "too_large")

	// Without a Content-Length.
	handler := newAPI(s.fakeRooms, Options{Key: theKey, MaxBody: 2000})
	chunked := io.MultiReader(strings.NewReader(body), bytes.NewReader(make([]byte, 1<<20)))
	if w := answerTo(handler, "POST", "/api/emit", withKey, chunked); w.Code != 413 || len(s.emitted) != 1 {
		t.Errorf("%d, emitted %d", w.Code, len(s.emitted))
	}
	usual := serve(t, Options{Key: theKey})
	usual.want(usual.post(exchange{body: strings.Repeat(" ", 64<<10) + `{"event":"x"}`}), 413, "too_large")
}

// A body that ends early is refused.
func TestEmitBrokenOff(t *testing.T) {
	f := &fakeRooms{}
	body := io.MultiReader(strings.NewReader(`{"event":"x"}`), iotest.ErrReader(io.ErrUnexpectedEOF))
	w := answerTo(newAPI(f, Options{Key: theKey}), "POST", "/api/emit", withKey, body)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "bad_json") || len(f.emitted) > 0 {
		t.Error(w.Code, w.Body, f.emitted)
	}
}

// An event is refused while Redis is away, without its address, and while the bodies of
// others take all of the memory for these.
func TestEmitUnavailable(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	s.err = errors.New("redis://u:hunter2@db does not answer")
	x := s.post(exchange{body: `{"event":"x"}`})
	s.want(x, 503, "unavailable")
	if strings.Contains(x.got, "hunter2") {
		t.Error(x.got)
	}
	full := serve(t, Options{Key: theKey, Inbound: memory.NewBudget(1)})
	x = full.post(exchange{body: `{"event":"x"}`})
	full.want(x, 503, "busy")
	if x.answer.Get("Retry-After") != "1" || len(full.emitted) > 0 {
		t.Error(x.answer, full.emitted)
	}
}

// An accepted body is JSON, has valid recipients, and its arguments are parts of the body
// byte for byte.
func FuzzEmit(f *testing.F) {
	for _, s := range []string{
		`{"event":"x","args":[1.50,"a"],"to":{"user":7}}`, `{"event":"x","to":{"room":"a"}}`, `{"event":"x","to":null}`,
		`{"event":1}`, `{"to":[]}`, `{"event":"\ud800"}`, `{"event":"x","args":[[[]]]}`, `[`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseEmit(body)
		var refusal *rooms.Refusal
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Message == "" {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		rest := body
		for _, arg := range m.Event.Args {
			at := bytes.Index(rest, arg)
			if at < 0 || !json.Valid(arg) {
				t.Fatalf("%q: the argument %q is not from there", body, arg)
			}
			rest = rest[at+len(arg):]
		}
		if len(m.Rooms) > 1 || len(m.Except) > 0 {
			t.Fatalf("%q: %+v", body, m)
		}
	})
}
