package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/adapter"
	"rollcall/adapter/redistest"
)

// Users with a long id are remembered in a set of their own in Redis, which holds
// fewer: so what is remembered is bounded in bytes.
func TestRedisActivityOfLongIDs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	a.eventually("ready", bound, func() bool { return a.Ready() == nil })
	now := time.Now().UnixMilli()
	const seen, seenLong = "{rollcall}:seen", "{rollcall}:seen:long"
	size := func(key string) int64 { return server.Do("ZCARD", key).(int64) }

	short, long, longest := strings.Repeat("s", adapter.ShortID), strings.Repeat("l", adapter.ShortID+1), strings.Repeat("x", adapter.MaxSeenID)
	for _, user := range []string{short, long, longest, longest + "x"} {
		a.Touch(user, now)
	}
	a.eventually("written", bound, func() bool { return a.unnoted() == 0 })
	if size(seen) != 1 || size(seenLong) != 2 {
		t.Errorf("%d users are in seen, %d in seen:long", size(seen), size(seenLong))
	}
	for user, want := range map[string]int64{short: now, long: now, longest: now, longest + "x": 0} {
		if at, err := a.LastActive(t.Context(), user); at != want || err != nil {
			t.Errorf("a user with an id of %d bytes was active at %d, want %d, %v", len(user), at, want, err)
		}
	}
	// What an earlier version wrote, all into one set, still counts.
	earlier := strings.Repeat("e", 100)
	server.Do("ZADD", seen, now-1, earlier)
	if at, err := a.LastActive(t.Context(), earlier); at != now-1 || err != nil {
		t.Errorf("by an earlier version it is %d, want %d, %v", at, now-1, err)
	}

	for from := 0; from < adapter.MaxSeenLong; from += 50_000 { // in parts, since Redis does nothing else meanwhile
		server.Do("EVAL", `for i = tonumber(ARGV[1]), ARGV[1] + 49999 do
			redis.call('ZADD', '{rollcall}:seen:long', string.format('%.0f', ARGV[2] + i), string.rep('u', 70) .. i) end`, 0, from, now-2*adapter.MaxSeenLong)
	}
	for n := range 100 {
		a.Touch(fmt.Sprint(long, n), now)
	}
	a.eventually("written", bound, func() bool { return a.unnoted() == 0 })
	if size(seenLong) != adapter.MaxSeenLong || size(seen) != 2 {
		t.Errorf("%d users are in seen:long, want %d; %d in seen", size(seenLong), adapter.MaxSeenLong, size(seen))
	}
	if at, _ := a.LastActive(t.Context(), strings.Repeat("u", 70)+"0"); at != 0 {
		t.Error("the oldest is remembered still")
	}
	server.Do("DEL", seenLong)
	server.Do("ZADD", seenLong, now-adapter.KeepSeen.Milliseconds()-1000, long)
	a.eventually("the old one's end", bound, func() bool { return size(seenLong) == 0 })
}
