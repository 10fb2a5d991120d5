package redis

import (
	"strings"
	"testing"
	"unicode/utf8"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

var somewhere = rooms.EntryKey{List: "room:x", Key: "s"}

func FuzzAddress(f *testing.F) {
	f.Add("", "s")
	f.Add("room:1:2\x00", "3:\x00")
	f.Fuzz(func(t *testing.T, list, key string) {
		in := rooms.EntryKey{List: list, Key: key}
		if out, ok := parseAddress(address(in)); !ok || out != in {
			t.Errorf("%+v came back as %+v, %v", in, out, ok)
		}
		if p, ok := parseAddress(list); ok && len(p.List) > len(list) {
			t.Errorf("%q is the address of %+v", list, p)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(`{"id":1}`, "1", "a", "away", int64(5), uint64(7))
	f.Add(`{"x":",\"instance\":","instance":"z"}`, `,"instance":`, `","instance":"`, `"`, int64(-1), uint64(0))
	f.Add("{ }\n", "\u2028<&>", "é", "", int64(1)<<62, ^uint64(0))
	f.Fuzz(func(t *testing.T, user, id, instance, status string, joined int64, version uint64) {
		in := rooms.Entry{EntryKey: somewhere, Instance: instance, UserID: id, Data: []byte(user), JoinedAt: joined, RegisteredAt: joined, VisibleAt: joined, Status: rooms.Status(status), StatusAt: joined}
		out, err := parseEntry(somewhere, entryBody(in, version)+`,"seq":12}`)
		if err != nil {
			t.Fatal(err)
		}
		if string(out.Data) != user {
			t.Errorf("the user %q came back as %q", user, out.Data)
		}
		// Ids are valid Unicode: rooms sees to that.
		if utf8.ValidString(id) && out.UserID != id || utf8.ValidString(instance) && out.Instance != instance {
			t.Errorf("ids %q and %q came back as %q and %q", id, instance, out.UserID, out.Instance)
		}
		if out.JoinedAt != joined || out.version != version || out.seq != 12 || out.EntryKey != somewhere ||
			out.StatusAt != joined || out.RegisteredAt != joined || out.VisibleAt != joined || utf8.ValidString(status) && string(out.Status) != status {
			t.Errorf("came back as %+v", out)
		}
	})
}

// An instance of the version before knows milliseconds only.
func TestEntryOfAnOlderInstance(t *testing.T) {
	e, err := parseEntry(somewhere, `{"user":{},"instance":"a","joined_at":7,"id":"x","v":1,"seq":2}`)
	if err != nil || e.JoinedAt != 7000 || e.RegisteredAt != 0 {
		t.Errorf("%+v, %v", e, err)
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(`{"user":{},"instance":"a","joined_at":1,"id":"x","v":1,"seq":2}`)
	f.Add(`{"user":,"instance":`)
	f.Add(`{"user"`)
	f.Add(`,"instance":"`)
	f.Fuzz(func(t *testing.T, value string) {
		if e, err := parseEntry(somewhere, value); err == nil && len(e.Data) > len(value) {
			t.Errorf("%q has the user %q", value, e.Data)
		}
	})
}

// A rolling upgrade to a release with a later format: its first instance takes
// over, what cannot be put back stays, and the instances of the release before
// serve their own clients, say why they are not ready, and write nothing more.
func TestFormat(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var log adaptertest.Log
	old := open(t, Options{URL: server.URL(), Instance: "old", Log: log.Logger()})
	old.enter(3)
	member := rooms.EntryKey{List: rooms.RoomList("lobby"), Key: "old/0"}
	old.Put(rooms.Entry{EntryKey: member, UserID: "1", Data: []byte(`"ann"`)})
	agree(t, old)
	if kept, err := old.PostMessage(rooms.ChatPost{Room: "lobby", Username: "ann", Content: "hello"}); err != nil || <-kept == 0 {
		t.Fatalf("say: %v", err)
	}
	format := func() string { return server.Client().Get(t.Context(), "{rollcall}:format").Val() }
	if format() != "1" {
		t.Fatalf("format %q, want 1", format())
	}

	later := func(id string) *instance {
		return open(t, Options{URL: server.URL(), Instance: id, limits: limits{format: 2}})
	}
	b := later("b")
	b.enter(3)
	agree(t, b)
	old.eventually("the sentence", func() bool {
		return old.Ready() != nil && strings.Contains(old.Ready().Error(), "format 2, this release knows format 1; update this instance")
	})
	old.eventually("the log", func() bool {
		return strings.Contains(log.String(), "the data in Redis cannot be used; own clients are served on")
	})
	settle(b)

	// What old's clients do is shown there, and reaches nobody else.
	old.put("old/late", `{"id":"late"}`)
	if old.view()["old/late"] == "" {
		t.Error("an own client was not shown")
	}
	c := later("c")
	c.enter(2)
	agree(t, b, c)
	if format() != "2" {
		t.Errorf("format %q, want 2", format())
	}
	if n := server.Client().Exists(t.Context(), "{rollcall}:room:lobby:users", "{rollcall}:sockets:old", "{rollcall}:progress:old").Val(); n != 0 {
		t.Errorf("%d keys of the earlier format are left", n)
	}
	if all, err := c.History(t.Context(), "lobby"); err != nil || len(all) != 1 {
		t.Errorf("history: %v, %v", all, err)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors in the log:\n%s", n, log.String())
	}
	nobodyLeft(t, b, c)
}
