package rooms_test

import (
	"net/url"
	"slices"
	"testing"

	"rollcall/rooms"
)

// What each subscription hears of one register elsewhere tells them apart.
var heard = map[string][]string{
	"both":    {"add_user {}", "online_users [{}]"},
	"list":    {"online_users [{}]"},
	"changes": {},
	"count":   {"online_count 1"},
	"none":    {},
}

func TestHandshake(t *testing.T) {
	query := func(v ...string) url.Values { return url.Values{"presence": v} }
	auth := func(v any) map[string]any { return map[string]any{"presence": v} }
	for _, c := range []struct {
		name string
		h    rooms.Handshake
		want string // "" for refused
	}{
		{"nothing", rooms.Handshake{}, "both"},
		{"other query", rooms.Handshake{Query: url.Values{"EIO": {"3"}}, Auth: map[string]any{}}, "both"},
		{"query both", rooms.Handshake{Query: query("both")}, "both"},
		{"query list", rooms.Handshake{Query: query("list")}, "list"},
		{"query changes", rooms.Handshake{Query: query("changes")}, "changes"},
		{"query count", rooms.Handshake{Query: query("count")}, "count"},
		{"query none", rooms.Handshake{Query: query("none")}, "none"},
		{"query twice", rooms.Handshake{Query: query("none", "bogus")}, "none"},
		{"auth", rooms.Handshake{Auth: auth("list")}, "list"},
		{"auth before query", rooms.Handshake{Auth: auth("list"), Query: query("bogus")}, "list"},
		{"auth is no string", rooms.Handshake{Auth: auth(1.0), Query: query("count")}, "count"},
		{"auth is no string alone", rooms.Handshake{Auth: auth(nil)}, "both"},
		{"unknown", rooms.Handshake{Query: query("everything")}, ""},
		{"case", rooms.Handshake{Query: query("Both")}, ""},
		{"unknown auth", rooms.Handshake{Auth: auth("bogus"), Query: query("list")}, ""},
		{"empty", rooms.Handshake{Query: query("")}, "both"},
		{"empty auth", rooms.Handshake{Auth: auth(""), Query: query("list")}, "list"},
		{"undefined", rooms.Handshake{Query: query("undefined")}, "both"},
		{"null", rooms.Handshake{Query: query("null")}, "both"},
		{"NaN", rooms.Handshake{Query: query("NaN")}, "both"},
		{"object", rooms.Handshake{Query: query("[object Object]")}, "both"},
		{"undefined auth", rooms.Handshake{Auth: auth("undefined"), Query: query("count")}, "count"},
		{"auth is an object", rooms.Handshake{Auth: auth(map[string]any{"presence": "none"})}, "both"},
		{"auth is an array", rooms.Handshake{Auth: auth([]any{"none"})}, "both"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			conn := &fakeConn{id: "a"}
			_, err := h.rooms.Connect(conn, c.h)
			if c.want == "" {
				if code(err) != "bad_presence" {
					t.Fatalf("got %v, want bad_presence", err)
				}
				if n := h.rooms.Counts().Connections; n != 0 {
					t.Fatalf("a refused socket is among %d connections", n)
				}
				if err := h.try(conn, "sync"); code(err) != "not_connected" {
					t.Fatalf("an event of a refused socket: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			h.rooms.Flush(true)
			conn.take() // the count on connecting
			h.do(h.connect("b", "none"), "register", `{}`)
			h.rooms.Flush(true)
			if got := conn.told(); !slices.Equal(got, heard[c.want]) {
				t.Fatalf("heard %q, want %q", got, heard[c.want])
			}
		})
	}
}

func TestConnectTwice(t *testing.T) {
	h := newHouse(t)
	first, second := h.connect("a", ""), &fakeConn{id: "a"}
	h.do(first, "register", `{"id":1}`)
	if _, err := h.rooms.Connect(second, rooms.Handshake{}); err == nil {
		t.Fatal("two sockets of one id were taken")
	}
	h.rooms.Disconnect(second, rooms.Closed)
	if got := h.rooms.Counts(); got != (rooms.Counts{Users: 1, Sockets: 1, Connections: 1}) {
		t.Fatalf("the second's end was the first's: %+v", got)
	}
}
