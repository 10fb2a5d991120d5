package redis

import (
	"strings"
	"testing"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

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
