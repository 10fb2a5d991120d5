package redis

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	goredis "github.com/redis/go-redis/v9"

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

func foreignEntry(user, tail string) string {
	return `{"user":` + user + `,"instance":"a"` + tail + `}`
}

const foreignTail = `,"joined_at":1,"id":"7","v":1000000,"seq":1`

// poison is values that are no entries.
var poison = map[string]string{
	"no JSON":          foreignEntry(`{"id":`, foreignTail),
	"two values":       foreignEntry(`{"id":7} 1`, foreignTail),
	"too deep":         foreignEntry(`{"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`, foreignTail),
	"half an emoji":    foreignEntry(`{"id":"\ud800"}`, foreignTail),
	"infinite":         foreignEntry(`{"id":1e999}`, foreignTail),
	"too large":        foreignEntry(`{"x":"`+strings.Repeat("x", maxStoredData)+`"}`, foreignTail),
	"no user":          foreignEntry(`{}`, `,"joined_at":1,"v":1000000,"seq":1`),
	"a status":         foreignEntry(`{}`, foreignTail+`,"status":"gone"`),
	"a time":           foreignEntry(`{}`, `,"joined_at":-5,"id":"7","v":1000000,"seq":1`),
	"a late time":      foreignEntry(`{}`, foreignTail+`,"registered":9223372036854775807`),
	"another id":       foreignEntry(`{"id":8}`, foreignTail),
	"another's id":     foreignEntry(`{"name":"Ada","id":"8"}`, foreignTail),
	"null":             foreignEntry(`null`, foreignTail),
	"a number":         foreignEntry(` 7`, foreignTail),
	"a list":           foreignEntry(`[{"id":7}]`, foreignTail),
	"no entry":         `x`,
	"no tail":          `{"user":{}}`,
	"no instance":      `{"user":{},"instance":""` + foreignTail + `}`,
	"a long instance":  `{"user":{},"instance":"` + strings.Repeat("x", maxStoredName+1) + `"` + foreignTail + `}`,
	"a tail of lists":  foreignEntry(`{}`, `,"v":[1]`),
	"bytes, not UTF-8": foreignEntry("{\"x\":\"\xff\"}", foreignTail),
}

// What somebody else writes under the prefix reaches no watcher, costs no
// comparison after another, and does not keep what is right from coming.
func TestPoisoned(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := openAll(t, server, 3, "a", "b")
	a, b := ab[0], ab[1]
	for name, value := range poison {
		server.Do("HSET", "{rollcall}:users", "poisoned "+name, value)
		announced(server, "put", "0:poisoned "+name, "e", value, "i", "a", "v", "1000000")
	}
	for _, at := range []string{"no address", "0:\xff", "0:" + strings.Repeat("x", maxStoredName+1), "4:roompoisoned", "7:room:\xff\xffpoisoned"} {
		announced(server, "put", at, "e", foreignEntry(`{}`, foreignTail))
	}
	announced(server, "del", "9:x", "i", "a", "v", "1000001")
	for _, message := range []string{
		"{", `{"id":9007199254740993,"at":1}`, `{"id":5,"at":99999999999999999}`, `{"id":0,"at":1}`, `{"id":5,"at":-1}`,
		`{"id":5,"at":1,"username":"` + strings.Repeat("x", maxStoredName+1) + `"}`,
		`{"id":5,"at":1,"user_id":"` + strings.Repeat("x", maxStoredName+1) + `"}`,
		`{"id":5,"at":1,"content":"` + strings.Repeat("x", maxStoredData+1) + `"}`,
	} {
		announced(server, "said", "1", "m", message)
	}
	announced(server, "said", strings.Repeat("x", maxStoredName+1), "m", `{"id":5,"at":1}`)
	server.Do("XADD", "{rollcall}:stream", "*", "nothing", "known")
	b.eventually("all are refused", func() bool { return b.Stats().Refused >= uint64(len(poison)) })
	resyncs := b.Stats().Resyncs
	settle(a, b)
	if n := b.Stats().Resyncs - resyncs; n > 10 {
		t.Errorf("it compared %d times", n)
	}
	a.put("a/after", `{"id":1}`)
	b.eventually("what comes after", func() bool { return b.view()["a/after"] != "" })
	for at := range b.view() {
		if !strings.HasPrefix(at, "a/") && !strings.HasPrefix(at, "b/") {
			t.Errorf("b was told of %.80q", at)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.said); n > 0 {
		t.Errorf("b was told %d messages", n)
	}
	if n := len(b.removals); n > 0 {
		t.Errorf("b was told that %d left", n)
	}
}

// announced adds an announcement to the chain.
func announced(server *redistest.Server, fields ...any) {
	link := strings.Fields(fmt.Sprint(server.Do("GET", "{rollcall}:link")))
	n := fmt.Sprint(server.Do("INCR", "{rollcall}:seq"))
	server.Do("SET", "{rollcall}:link", n+" foreign")
	server.Do(append([]any{"XADD", "{rollcall}:stream", "*", "n", n, "p", link[1], "c", "foreign"}, fields...)...)
}

// Whatever an announcement holds, what is taken from it can be sent to clients.
func FuzzAnnouncement(f *testing.F) {
	f.Add("1", "0:s", `{"user":{"id":7},"instance":"a","joined_at":1,"id":"7","v":1,"seq":1}`, "1", `{"id":1,"at":1,"username":"","content":""}`)
	f.Add("x", "5:room:s", `{"user":,"instance":`, "", "{")
	f.Fuzz(func(t *testing.T, n, at, value, room, said string) {
		for _, values := range []map[string]any{
			{"n": n, "put": at, "e": value}, {"n": n, "said": room, "m": said}, {"n": n, "del": at, "i": room, "v": n},
		} {
			a, err := parseAnnouncement(goredis.XMessage{Values: values})
			if err != nil {
				continue
			}
			if a.put != nil && checkEntry(a.put.Entry) == nil && !json.Valid(a.put.Data) {
				t.Errorf("data %q", a.put.Data)
			}
			if a.message == nil {
				continue
			}
			if text, err := json.Marshal(*a.message); err != nil || rooms.CheckJSON(text) != nil {
				t.Errorf("message %+v: %v", *a.message, err)
			}
		}
	})
}
