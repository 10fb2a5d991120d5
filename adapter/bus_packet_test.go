package adapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"rollcall/rooms"
)

func pack(t testing.TB, v any) []byte {
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recordLog is a log and what was written to it.
func recordLog() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var text bytes.Buffer
	write := writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(b)
	})
	return slog.New(slog.NewTextHandler(write, nil)), func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestUnpack reads MessagePack as other languages write it.
func TestUnpack(t *testing.T) {
	for in, want := range map[string]string{
		"\xc0":                                 `null`,
		"\xc2":                                 `false`,
		"\xc3":                                 `true`,
		"\x7f":                                 `127`,
		"\xe0":                                 `-32`,
		"\xcc\xff":                             `255`,
		"\xcd\xff\xff":                         `65535`,
		"\xce\xff\xff\xff\xff":                 `4294967295`,
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff": `18446744073709551615`,
		"\xd0\x80":                             `-128`,
		"\xd1\x80\x00":                         `-32768`,
		"\xd2\x80\x00\x00\x00":                 `-2147483648`,
		"\xd3\x80\x00\x00\x00\x00\x00\x00\x00": `-9223372036854775808`,
		"\xca\x3f\x00\x00\x00":                 `0.5`,
		"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a": `0.1`,
		"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00": `null`, // infinite
		"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00": `null`, // NaN
		"\xa0":                                 `""`,
		"\xd9\x01\"":                           `"\""`,
		"\xa1\xff":                             "\"\ufffd\"",
		"\xa2\n\x00":                           `"\u000a\u0000"`,
		"\xa3<&>":                              `"<&>"`,
		"\xdc\x00\x02\x01\x02":                 `[1,2]`,
		"\xdd\x00\x00\x00\x00":                 `[]`,
		"\x82\xa1b\x01\xa1a\x80":               `{"b":1,"a":{}}`,
		"\xde\x00\x01\x05\x05":                 `{"5":5}`,
		"\xdf\x00\x00\x00\x01\xff\x05":         `{"-1":5}`,
		"\xd6\xff\x00\x00\x00\x01":             `"1970-01-01T00:00:01.000Z"`,
		"\xd7\xff\x77\x35\x94\x00\x00\x00\x00\x01":                     `"1970-01-01T00:00:01.500Z"`,
		"\xc7\x0c\xff\x1d\xcd\x65\x00\xff\xff\xff\xff\xff\xff\xff\xff": `"1969-12-31T23:59:59.500Z"`,
		"\xd7\x00\x00\x00\x00\x00\x00\x00\x05\xdc":                     `"1970-01-01T00:00:01.500Z"`,
		"\xd4\x00\x00": `null`, // undefined
		strings.Repeat("\x91", maxDepth) + "\x01": strings.Repeat("[", maxDepth) + "1" + strings.Repeat("]", maxDepth),
	} {
		got, err := unpacker{msgpack.NewDecoder(strings.NewReader(in))}.appendJSON(nil, 0)
		if err != nil || string(got) != want {
			t.Errorf("%x: %.200s, %v; want %.200s", in, got, err, want)
		}
	}
	for in, want := range map[string]error{
		"":                         errMalformed,
		"\xc1":                     errMalformed,
		"\x92\x01":                 errMalformed,
		"\x81\xa1a":                errMalformed,
		"\xdd\xff\xff\xff\xff":     errMalformed,
		"\xdf\xff\xff\xff\xff":     errMalformed,
		"\xc4\x01\x00":             errBinary,
		"\x81\xa1a\xc4\x00":        errBinary,
		"\xd4\x01\x00":             errBinary,
		"\xc9\xff\xff\xff\xff\x01": errBinary,
		"\xd7\xff\x00":             errMalformed,
		"\x81\xc0\x01":             nil, // a key that is nil
		"\xdb\xff\xff\xff\xffx":    nil,
		"\xcf\x00":                 nil,
		"\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff": nil, // a date beyond all years
		strings.Repeat("\x91", maxDepth+1) + "\x01":                    errDepth,
	} {
		got, err := unpacker{msgpack.NewDecoder(strings.NewReader(in))}.appendJSON(nil, 0)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%x: %.200s, %v; want %v", in, got, err, want)
		}
	}
}

// TestPackNumbers shows what becomes of numbers that are no 64-bit integers.
func TestPackNumbers(t *testing.T) {
	for in, want := range map[string]string{
		`18446744073709551616`:     `18446744073709552000`,
		`-9223372036854775809`:     `-9223372036854776000`,
		`123456789012345678901234`: `1.2345678901234569e+23`,
		`1.0`:                      `1`,
		`1e2`:                      `100`,
		`-0`:                       `-0`,
	} {
		if got := roundTrip(t, in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{`1e400`, strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), `[1`, `1 2`, ``} {
		if _, err := encodePacket("a", rooms.Message{Event: rooms.Event{Name: "e", Args: []json.RawMessage{[]byte(in)}}}); err == nil {
			t.Errorf("%.20s was packed", in)
		}
	}
}

func roundTrip(t *testing.T, value string) string {
	t.Helper()
	payload, err := encodePacket("a", rooms.Message{Event: rooms.Event{Name: "e", Args: []json.RawMessage{[]byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := decodePacket(payload, "b")
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Event.Args[0])
}

func TestDecodePacket(t *testing.T) {
	type m = map[string]any
	packet := func(fields m) m {
		p := m{"type": 2, "data": []any{"e", 1}, "nsp": "/"}
		for k, v := range fields {
			p[k] = v
		}
		return p
	}
	for name, in := range map[string]any{
		"plain":             []any{"u", packet(nil), m{"rooms": []any{"a", 5}, "except": []any{"b"}, "flags": m{"volatile": true, "compress": false}}},
		"an older emitter":  []any{"u", packet(m{"type": 5}), m{"rooms": []any{"a", "5"}, "except": []any{"b"}}},
		"without namespace": []any{"u", m{"type": 2, "data": []any{"e", 1}}, m{"except": []any{"b"}, "rooms": []any{"a", uint64(5)}, "x": []any{m{}}}},
		"id is nil":         []any{"u", packet(m{"id": nil}), m{"rooms": []any{"a", 5}, "except": []any{"b"}}},
	} {
		got, err := decodePacket(pack(t, in), "self")
		want := rooms.Message{
			Event: rooms.Event{Name: "e", Args: []json.RawMessage{[]byte("1")}}, Rooms: []string{"a", "5"}, Except: []string{"b"},
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, in := range map[string]any{
		"everybody":     []any{"u", packet(m{"data": []any{"e"}}), m{}},
		"nil for lists": []any{"u", packet(m{"data": []any{"e"}}), m{"rooms": nil, "except": nil, "flags": nil}},
	} {
		got, err := decodePacket(pack(t, in), "self")
		if err != nil || !reflect.DeepEqual(got, rooms.Message{Event: rooms.Event{Name: "e"}}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct {
		in   any
		want error // nil: any
	}{
		"own":                 {[]any{"self", packet(nil), m{}}, errNotForUs},
		"another namespace":   {[]any{"u", packet(m{"nsp": "/x"}), m{}}, errNotForUs},
		"not an array":        {m{}, errMalformed},
		"nil":                 {nil, errMalformed},
		"two":                 {[]any{"u", packet(nil)}, errMalformed},
		"four":                {[]any{"u", packet(nil), m{}, 1}, errMalformed},
		"uid is a number":     {[]any{1, packet(nil), m{}}, errMalformed},
		"packet is nil":       {[]any{"u", nil, m{}}, errMalformed},
		"packet is a list":    {[]any{"u", []any{}, m{}}, errMalformed},
		"options are nil":     {[]any{"u", packet(nil), nil}, errMalformed},
		"rooms are text":      {[]any{"u", packet(nil), m{"rooms": "a"}}, errMalformed},
		"a room is a list":    {[]any{"u", packet(nil), m{"rooms": []any{[]any{}}}}, errMalformed},
		"a room is bytes":     {[]any{"u", packet(nil), m{"except": []any{[]byte("a")}}}, errMalformed},
		"no data":             {[]any{"u", m{"type": 2}, m{}}, errNoName},
		"empty data":          {[]any{"u", packet(m{"data": []any{}}), m{}}, errMalformed},
		"name is a number":    {[]any{"u", packet(m{"data": []any{5}}), m{}}, errNoName},
		"name is empty":       {[]any{"u", packet(m{"data": []any{""}}), m{}}, errNoName},
		"name is reserved":    {[]any{"u", packet(m{"data": []any{"disconnect"}}), m{}}, nil},
		"bytes":               {[]any{"u", packet(m{"data": []any{"e", []byte("a")}}), m{}}, errBinary},
		"bytes further in":    {[]any{"u", packet(m{"data": []any{"e", m{"a": []any{[]byte("a")}}}}), m{}}, errBinary},
		"no type":             {[]any{"u", m{"data": []any{"e"}}, m{}}, nil},
		"type is ack":         {[]any{"u", packet(m{"type": 3}), m{}}, nil},
		"type is text":        {[]any{"u", packet(m{"type": "2"}), m{}}, errMalformed},
		"wants acks":          {[]any{"u", packet(m{"id": 0}), m{}}, nil},
		"name in bytes":       {[]any{"u", packet(m{"data": []any{[]byte("e")}}), m{}}, errNoName},
		"namespace in number": {[]any{"u", packet(m{"nsp": 1}), m{}}, errMalformed},
	} {
		got, err := decodePacket(pack(t, c.in), "self")
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, c.want)
		}
	}
	if _, err := decodePacket(append(pack(t, []any{"u", packet(nil), m{}}), 0xc0), "self"); !errors.Is(err, errMalformed) {
		t.Errorf("a tail: %v", err)
	}
}

// FuzzMessage reads any payload: it never panics, and what it accepts is a
// message that this bus would publish, and that arrives as it was.
func FuzzMessage(f *testing.F) {
	for _, e := range []rooms.Message{
		{Event: rooms.Event{Name: "e"}},
		{Event: rooms.Event{Name: "e", Args: []json.RawMessage{[]byte(`{"a":[1,-1,0.5,"x",null,true]}`)}}, Rooms: []string{"a", "b"}, Except: []string{"c"}},
	} {
		payload, err := encodePacket("u", e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	type m = map[string]any
	f.Add(pack(f, []any{"u", m{"type": 2, "data": []any{"e", []byte{1}, 1.5, m{"k": "v"}}, "nsp": "/", "id": 1}, m{"rooms": []any{1, "2"}, "flags": m{"local": true}}}))
	f.Add([]byte("\x93\xa1u\x82\xa4type\x02\xa4data\x93\xa1e\xd6\xff\x00\x00\x00\x01\xca\x3f\x00\x00\x00\x80"))
	f.Add([]byte("\x93\xa1u\x82\xa4type\x02\xa4data\x94\xa1e\xd6\xff\x00\x00\x00\x01\xca\x3f\x00\x00\x00\xd4\x00\x00\x80"))
	f.Add([]byte("\xdd\xff\xff\xff\xff\xdb\xff\xff\xff\xff"))
	f.Add([]byte(strings.Repeat("\x91", 100_000)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := decodePacket(payload, "self")
		if err != nil {
			return
		}
		if err := checkMessage(m); err != nil {
			t.Fatalf("accepted %q: %v", m, err)
		}
		again, err := encodePacket("u", m)
		if err != nil {
			t.Fatalf("%q cannot be published: %v", m, err)
		}
		same, err := decodePacket(again, "self")
		if err != nil || !sameMessage(m, same) {
			t.Fatalf("%q became %q, %v", m, same, err)
		}
	})
}

func sameMessage(a, b rooms.Message) bool {
	texts := func(m rooms.Message) string { s, _ := json.Marshal(m); return string(s) }
	return texts(a) == texts(b)
}
