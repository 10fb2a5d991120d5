package redis

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

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
