package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// What Rails reads: the keys of PROTOCOL.md, section 7.
func TestRedisKeysForOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a", Prefix: "app"})
	user := "{ \"id\" : 1.0, \"x\":\"é\\u00e9,\\\"instance\\\":\",\"big\":12345678901234567890, \"instance\":\"no\" }"
	put := func(socket, id string) {
		a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: socket}, UserID: id, Data: []byte(user), JoinedAt: 1753000000123456})
	}
	put("s1", "1")
	put("s2", "1")
	put("s3", "<3>")
	a.eventually("written", bound, func() bool { return a.Stats().Queued == 0 })
	got := server.Do("HGET", "{app}:users", "s1").(string)
	if want := `{"user":` + user + `,"instance":"a","joined_at":1753000000123,"id":"1",`; !strings.HasPrefix(got, want) {
		t.Errorf("the entry is\n%s\nwant\n%s…", got, want)
	}
	online := func() string { return fmt.Sprint(server.Do("ZRANGE", "{app}:online", 0, -1)) }
	if got := online(); got != "[1 <3>]" {
		t.Errorf("online are %s", got)
	}
	active, err := server.Client().ZScore(t.Context(), "{app}:online", "1").Result()
	if age := time.Now().UnixMilli() - int64(active); err != nil || age < 0 || age > 60_000 {
		t.Errorf("last active %d ms ago, %v", age, err)
	}
	till, err := server.Client().ZScore(t.Context(), "{app}:instances", "a").Result()
	if left := int64(till) - time.Now().UnixMilli(); err != nil || left < 0 || left > 3000 {
		t.Errorf("the lease ends in %d ms, %v", left, err)
	}
	a.Remove(rooms.EntryKey{Key: "s1"}, rooms.Closed) // the user has another socket
	put("s3", "4")                                    // somebody else from now on
	a.eventually("written", bound, func() bool { return a.Stats().Queued == 0 })
	if got := online(); got != "[1 4]" {
		t.Errorf("online are %s", got)
	}
	a.Remove(rooms.EntryKey{Key: "s2"}, rooms.Closed)
	a.eventually("written", bound, func() bool { return a.Stats().Queued == 0 })
	if got := online(); got != "[4]" {
		t.Errorf("online are %s", got)
	}
	for _, key := range server.Do("KEYS", "*").([]any) {
		if !strings.HasPrefix(key.(string), "{app}:") {
			t.Errorf("the key %s is outside of the prefix", key)
		}
	}
}

// A batch that is sent again, because its answer was lost, changes and
// announces nothing twice.
func TestRedisBatchTwice(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	b := open(t, Options{URL: server.URL(), Instance: "b"})
	agree(t, bound, a, b)
	writing := a.gate("evalsha")
	writing.close()
	a.put("s", `{"n":1}`)
	a.Remove(rooms.EntryKey{Key: "s"}, rooms.SignedOut)
	a.put("t", `{"n":1}`)
	say(t, a, "1", "once")
	a.SignOut("7")
	a.put("s", `{"n":2}`)
	a.enterRoom("1", "s", "name", "")
	a.Store.mu.Lock()
	batch := a.own.batch(maxBatch)
	a.Store.mu.Unlock()
	sender := &Store{instance: "a", prefix: a.prefix, timing: a.timing, scripts: a.scripts, server: liveServer{server.Client()}}
	for range 3 {
		if _, err := sender.apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	writing.open() // and once more by itself
	agree(t, bound, a, b)
	for _, i := range []*instance{a, b} {
		sameMessages(t, "1", 1, i)
	}
	if n, m := len(a.signOuts()), len(b.signOuts()); n != 0 || m != 1 {
		t.Errorf("sign-outs were told %d and %d times, want 0 to their own instance and 1", n, m)
	}
	if kept := a.kept("1"); len(kept) != 1 {
		t.Errorf("%d messages are kept, want one", len(kept))
	}
	if b.puts["s"] != 2 || b.puts["t"] != 1 || len(b.departures()["s"]) != 1 {
		t.Errorf("b saw puts %v and removals %v, want two, one and one", b.puts, b.departures())
	}
}
