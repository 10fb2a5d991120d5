package redis

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// Somebody else writes what they must not: nothing stops for good, nobody is
// seen to leave, and what others read is right again.
func TestRedisDamage(t *testing.T) {
	t.Parallel()
	wrongType := func(key string) []any { return []any{"SET", "{rollcall}:" + key, "x"} }
	for name, command := range map[string][]any{
		"users":      wrongType("users"),
		"entries":    wrongType("entries"),
		"tabs":       wrongType("tabs"),
		"online":     wrongType("online"),
		"instances":  wrongType("instances"),
		"stream":     wrongType("stream"),
		"seq":        {"LPUSH", "{rollcall}:seq", "x"},
		"sockets":    wrongType("sockets:a"),
		"progress":   wrongType("progress:a"),
		"seen":       wrongType("seen"),
		"account":    wrongType("messages"),
		"used":       wrongType("messages:used"),
		"messages":   wrongType("room:1:messages"),
		"projection": wrongType("room:1:users"),

		"no number":     {"SET", "{rollcall}:seq", "x"},
		"no count":      {"HSET", "{rollcall}:tabs", "user of a/more", "x"},
		"no version":    {"HSET", "{rollcall}:progress:a", "v", "x"},
		"no size":       {"HSET", "{rollcall}:messages", "bytes", "x"},
		"no message":    {"LPUSH", "{rollcall}:room:1:messages", "x"},
		"nothing shown": {"DEL", "{rollcall}:users"},
		"none private":  {"DEL", "{rollcall}:entries"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			var log adaptertest.Log
			all := []*instance{
				open(t, Options{URL: server.URL(), Instance: "a", Log: log.Logger()}),
				open(t, Options{URL: server.URL(), Instance: "b"}),
			}
			for _, i := range all {
				i.enter(5)
				for k := range 5 {
					i.enterRoom("1", fmt.Sprintf("%s/%d", i.Instance(), k), "name", []rooms.Status{rooms.Active, rooms.Hidden}[k%2])
				}
				say(t, i, "1", "before")
			}
			agree(t, bound, all...)
			if command[0] == "SET" || command[0] == "LPUSH" && name != "no message" {
				server.Do("DEL", command[1])
			}
			server.Do(command...)
			for _, i := range all {
				i.put(i.Instance()+"/0", `{"changed":true}`)
				i.put(i.Instance()+"/more", `{}`)
				i.enterRoom("1", i.Instance()+"/new", "new", "")
				say(t, i, "1", "after")
				i.Touch("somebody", time.Now().UnixMilli())
			}
			t.Logf("mended after %v", agree(t, 2*bound, all...))
			for _, i := range all {
				i.eventually("messages", bound, func() bool { return len(i.contents("1")) == 4 })
				i.eventually("activity", bound, func() bool { at, err := i.LastActive(t.Context(), "somebody"); return at > 0 && err == nil })
			}
			settle(all...)
			agree(t, bound, all...)
			nobodyLeft(t, all...)
			checkProjection(t, server, "1", all...)
			checkOnline(t, server, all...)
			for _, i := range all { // each once, also the one that met the damage
				if got := i.contents("1"); len(got) != 4 {
					t.Errorf("%s heard %q", i.Instance(), got)
				}
			}
			history, err := all[0].History(t.Context(), "1")
			if err != nil || len(history) == 0 || history[len(history)-1].Content != "after" {
				t.Errorf("the history is %+v, %v", history, err)
			}
			if command[0] != "DEL" && strings.Count(log.String(), "somebody else wrote") > maxFailures+1 {
				t.Errorf("the log says:\n%s", log.String())
			}
		})
	}
}

// A batch that damage stops in its middle is sent again: what was said before
// is not said twice.
func TestRedisBatchStopsHalfway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	agree(t, bound, a)
	sender := &Store{instance: "b", prefix: a.prefix, timing: a.timing, scripts: a.scripts, server: liveServer{server.Client()}, log: slog.New(slog.DiscardHandler)}
	server.Do("SET", "{rollcall}:room:1:users", "x")
	batch := []op{
		{kind: opSay, version: 1, said: rooms.ChatPost{Room: "1", Content: "once"}},
		{kind: opSignOut, version: 2, user: "7"},
		{kind: opPut, version: 1, entry: rooms.Entry{UserID: "u", Instance: "b", Data: []byte(`"u"`)}, place: rooms.EntryKey{List: "room:1", Key: "s"}},
	}
	batch[2].entry.EntryKey = batch[2].place
	if _, err := sender.apply(t.Context(), batch); !isDamage(err) {
		t.Fatalf("the batch was not stopped: %v", err)
	}
	server.Do("DEL", "{rollcall}:room:1:users")
	if _, err := sender.apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	a.eventually("the rest", bound, func() bool { return a.view()["room:1/s"] != "" })
	if heard, kept, out := a.contents("1"), a.kept("1"), a.signOuts(); len(heard) != 1 || len(kept) != 1 || len(out) != 1 {
		t.Errorf("heard was %q, kept is %+v, signed out were %q", heard, kept, out)
	}
}
