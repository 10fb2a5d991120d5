package pubsub

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"rollcall/adapter/memory"
	"rollcall/internal/msgjson"
	"rollcall/rooms"
)

func pack(t testing.TB, v any) []byte {
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecode(t *testing.T) {
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
		got, err := decode(pack(t, in), "self")
		want := rooms.Broadcast{
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
		got, err := decode(pack(t, in), "self")
		if err != nil || !reflect.DeepEqual(got, rooms.Broadcast{Event: rooms.Event{Name: "e"}}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct {
		in   any
		want error // nil: any
	}{
		"own":                 {[]any{"self", packet(nil), m{}}, errNotForUs},
		"another namespace":   {[]any{"u", packet(m{"nsp": "/x"}), m{}}, errNotForUs},
		"not an array":        {m{}, errFormat},
		"nil":                 {nil, errFormat},
		"two":                 {[]any{"u", packet(nil)}, errFormat},
		"four":                {[]any{"u", packet(nil), m{}, 1}, errFormat},
		"uid is a number":     {[]any{1, packet(nil), m{}}, errFormat},
		"packet is nil":       {[]any{"u", nil, m{}}, errFormat},
		"packet is a list":    {[]any{"u", []any{}, m{}}, errFormat},
		"options are nil":     {[]any{"u", packet(nil), nil}, errFormat},
		"rooms are text":      {[]any{"u", packet(nil), m{"rooms": "a"}}, errFormat},
		"a room is a list":    {[]any{"u", packet(nil), m{"rooms": []any{[]any{}}}}, errFormat},
		"a room is bytes":     {[]any{"u", packet(nil), m{"except": []any{[]byte("a")}}}, msgjson.ErrBinary},
		"no data":             {[]any{"u", m{"type": 2}, m{}}, nil},
		"empty data":          {[]any{"u", packet(m{"data": []any{}}), m{}}, errFormat},
		"name is a number":    {[]any{"u", packet(m{"data": []any{5}}), m{}}, nil},
		"name is empty":       {[]any{"u", packet(m{"data": []any{""}}), m{}}, nil},
		"name is reserved":    {[]any{"u", packet(m{"data": []any{"disconnect"}}), m{}}, nil},
		"bytes":               {[]any{"u", packet(m{"data": []any{"e", []byte("a")}}), m{}}, msgjson.ErrBinary},
		"bytes further in":    {[]any{"u", packet(m{"data": []any{"e", m{"a": []any{[]byte("a")}}}}), m{}}, msgjson.ErrBinary},
		"no type":             {[]any{"u", m{"data": []any{"e"}}, m{}}, nil},
		"type is ack":         {[]any{"u", packet(m{"type": 3}), m{}}, nil},
		"type is text":        {[]any{"u", packet(m{"type": "2"}), m{}}, errFormat},
		"wants acks":          {[]any{"u", packet(m{"id": 0}), m{}}, nil},
		"name in bytes":       {[]any{"u", packet(m{"data": []any{[]byte("e")}}), m{}}, nil},
		"namespace in number": {[]any{"u", packet(m{"nsp": 1}), m{}}, errFormat},
	} {
		got, err := decode(pack(t, c.in), "self")
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, c.want)
		}
	}
	if _, err := decode(append(pack(t, []any{"u", packet(nil), m{}}), 0xc0), "self"); !errors.Is(err, errFormat) {
		t.Errorf("a tail: %v", err)
	}
}

// FuzzMessage reads any payload: it never panics, and what it accepts is a
// message that this bus would publish, and that arrives as it was.
func FuzzMessage(f *testing.F) {
	for _, e := range []rooms.Broadcast{
		{Event: rooms.Event{Name: "e"}},
		{Event: rooms.Event{Name: "e", Args: []json.RawMessage{[]byte(`{"a":[1,-1,0.5,"x",null,true]}`)}}, Rooms: []string{"a", "b"}, Except: []string{"c"}},
	} {
		payload, err := encode("u", e)
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
		m, err := decode(payload, "self")
		if err != nil {
			return
		}
		if err := memory.CheckMessage(m); err != nil {
			t.Fatalf("accepted %q: %v", m, err)
		}
		again, err := encode("u", m)
		if err != nil {
			t.Fatalf("%q cannot be published: %v", m, err)
		}
		same, err := decode(again, "self")
		if err != nil || !sameMessage(m, same) {
			t.Fatalf("%q became %q, %v", m, same, err)
		}
	})
}

func sameMessage(a, b rooms.Broadcast) bool {
	texts := func(m rooms.Broadcast) string { s, _ := json.Marshal(m); return string(s) }
	return texts(a) == texts(b)
}
