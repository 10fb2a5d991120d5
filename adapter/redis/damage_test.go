package redis

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// damages are keys that another program, which must not, writes or deletes.
var damages = map[string][][]string{
	"users":       wrongType("users"),
	"entries":     wrongType("entries"),
	"tabs":        wrongType("tabs"),
	"online":      wrongType("online"),
	"instances":   wrongType("instances"),
	"stream":      wrongType("stream"),
	"seq":         {{"DEL", "seq"}, {"LPUSH", "seq", "x"}},
	"sockets":     wrongType("sockets:a"),
	"progress":    wrongType("progress:a"),
	"seen":        wrongType("seen"),
	"account":     wrongType("messages"),
	"used":        wrongType("messages:used"),
	"messages":    wrongType("room:1:messages"),
	"members":     wrongType("room:1:users"),
	"revocations": wrongType("revoked"),
	"format":      {{"DEL", "format"}, {"HSET", "format", "a", "b"}},

	"no number":     {{"SET", "seq", "x"}},
	"lower number":  {{"SET", "seq", "3"}},
	"no format":     {{"DEL", "format"}}, // as releases before it left them
	"wrong format":  {{"SET", "format", "x"}},
	"no count":      {{"HSET", "tabs", "user of a/more", "x"}},
	"no version":    {{"HSET", "progress:a", "v", "x"}},
	"no size":       {{"HSET", "messages", "bytes", "x"}},
	"no message":    {{"LPUSH", "room:1:messages", "x"}},
	"nothing shown": {{"DEL", "users"}},
	"none private":  {{"DEL", "entries"}},
	"no stream":     {{"DEL", "stream"}},
	"two entries":   {{"HDEL", "entries", "6:room:1a/1", "6:room:1a/3"}, {"HDEL", "sockets:a", "6:room:1a/1", "6:room:1a/3"}},
}

func wrongType(key string) [][]string { return [][]string{{"DEL", key}, {"SET", key, "x"}} }

// After damage nothing stops for good, nobody is seen to leave, and what others
// read is right again.
func TestDamage(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, commands := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log adaptertest.Log
			var all []*instance
			for _, id := range []string{"a", "b"} {
				o := Options{URL: server.URL(), Instance: id, Prefix: name, Log: log.Logger()}
				o.Timing.Renew = 200 * time.Millisecond
				all = append(all, open(t, o))
			}
			for _, i := range all {
				i.enter(5)
				for k := range 5 {
					i.enterRoom("1", fmt.Sprintf("%s/%d", i.instance, k), "name", []rooms.Status{rooms.Active, rooms.Hidden}[k%2])
				}
				i.mustSay("1", "before")
			}
			agree(t, all...)
			// In one step: a store may write between two.
			damage := []any{"EVAL", "for _, c in ipairs(ARGV) do redis.call(unpack(cjson.decode(c))) end", 0}
			for _, c := range commands {
				text, _ := json.Marshal(slices.Concat([]string{c[0], "{" + name + "}:" + c[1]}, c[2:]))
				damage = append(damage, text)
			}
			server.Do(damage...)
			revoked := time.UnixMilli(time.Now().UnixMilli())
			all[1].Revoke("7", revoked) // the first to change something
			for _, i := range all {
				i.put(i.instance+"/0", `{"changed":true}`)
				i.put(i.instance+"/more", `{}`)
				i.enterRoom("1", i.instance+"/new", "new", "")
				i.mustSay("1", "after")
				i.Touch("somebody", time.Now().UnixMilli())
			}
			checkMended(t, revoked, all)
			if n := strings.Count(log.String(), "somebody else wrote"); n > 2*(maxFailures+1) {
				t.Errorf("the log says:\n%s", log.String())
			}
		})
	}
}

// checkMended waits until all is right again after TestDamage's damage.
func checkMended(t *testing.T, revoked time.Time, all []*instance) {
	t.Helper()
	agree(t, all...)
	for _, i := range all {
		i.eventually("messages", func() bool { return len(i.messages("1")) >= 4 })
		i.eventually("activity", func() bool { at, err := i.LastActive(t.Context(), "somebody"); return at > 0 && err == nil })
		i.eventually("the revocation", func() bool { return i.RevokedAt("7").Equal(revoked) })
		i.eventually("no drift", func() bool { return i.Stats().Drift == 0 })
	}
	settle(all...)
	agree(t, all...)
	nobodyLeft(t, all...)
	for _, i := range all { // each once, also the instance that met the damage
		if got := i.messages("1"); len(got) != 4 {
			t.Errorf("%s was told %+v", i.instance, got)
		}
	}
	if format := all[0].Client().Get(t.Context(), all[0].prefix+":format").Val(); format != "1" {
		t.Errorf("the format is %q", format)
	}
	history, err := all[0].History(t.Context(), "1")
	if err != nil || !slices.ContainsFunc(history, func(m rooms.ChatMessage) bool { return m.Content == "after" }) {
		t.Errorf("the history is %+v, %v", history, err)
	}
}
