package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/adapter"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// accounted compares the account of histories with what there is, and returns
// the bytes.
func accounted(t *testing.T, server *redistest.Server) int {
	t.Helper()
	ctx, client := context.Background(), server.Client()
	account := client.HGetAll(ctx, "{rollcall}:messages").Val()
	sum := 0
	for field, value := range account {
		room, ok := strings.CutPrefix(field, "room:")
		if !ok {
			continue
		}
		size := 5*len(room) + 1024
		for _, message := range client.LRange(ctx, "{rollcall}:room:"+room+":messages", 0, -1).Val() {
			size += len(message) + 16
		}
		if value != strconv.Itoa(size) {
			t.Errorf("room %q takes %d bytes, accounted are %s", room, size, value)
		}
		sum += size
	}
	if account["bytes"] != strconv.Itoa(sum) {
		t.Errorf("all take %d bytes, accounted are %s", sum, account["bytes"])
	}
	indexed, lists := client.ZCard(ctx, "{rollcall}:messages:used").Val(), client.Keys(ctx, "{rollcall}:room:*:messages").Val()
	if n := len(account) - 2; int(indexed) != n || len(lists) != n {
		t.Errorf("%d rooms are in the account, %d in the index, %d have messages", n, indexed, len(lists))
	}
	return sum
}

// sayAll says n messages as fast as they are accepted.
func (i *instance) sayAll(n int, message func(n int) (room, content string)) {
	i.t.Helper()
	for k := range n {
		for i.say(message(k)) != nil {
			i.eventually("some are written", func() bool { return i.Stats().Queued < maxMessages/2 })
		}
	}
	i.awaitWritten()
}

// All histories together are bounded: the room that was not used for longest
// goes first. So are the announcements, by their bytes.
func TestHistoriesAreBounded(t *testing.T) {
	t.Parallel()
	const maxHistories, maxStreamBytes, n = 1 << 20, 512 << 10, 1500
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a", limits: limits{maxHistories: maxHistories, maxStreamBytes: maxStreamBytes}})
	a.sayAll(n+n/300, func(k int) (string, string) {
		switch {
		case k == 1:
			return "first", "x"
		case k%300 == 0:
			return "used again", "x"
		}
		return fmt.Sprintf("room %d", k/100), strings.Repeat("漢", 250) // 750 bytes
	})
	bytes := accounted(t, server)
	if bytes > maxHistories || bytes < maxHistories-2*100*900 {
		t.Errorf("histories take %d bytes", bytes)
	}
	memory, err := server.Client().Eval(t.Context(), `local n = 0
		for _, key in ipairs(redis.call('KEYS', '*:messages*')) do n = n + redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) end
		return n`, nil).Int()
	if err != nil || memory > maxHistories*5/4 {
		t.Errorf("in Redis' memory that is %d bytes, %v", memory, err)
	}
	for room, want := range map[string]int{"first": 0, "room 0": 0, "room 14": 100, "used again": 6} {
		if kept, err := a.History(t.Context(), room); err != nil || len(kept) != want {
			t.Errorf("of room %q %d messages are kept, %v; want %d", room, len(kept), err, want)
		}
	}
	a.eventually("a stream of less bytes", func() bool {
		return server.Client().MemoryUsage(t.Context(), "{rollcall}:stream", 0).Val() <= maxStreamBytes
	})
}

// Many small rooms count for what they take.
func TestManyRooms(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	a.eventually("ready", func() bool { return a.Ready() == nil })
	usedMemory := func() (n int) {
		_, rest, _ := strings.Cut(server.Client().Info(t.Context(), "memory").Val(), "used_memory:")
		_, _ = fmt.Sscan(rest, &n)
		return n
	}
	before := usedMemory()
	a.sayAll(5000, func(k int) (string, string) { return fmt.Sprintf("room %d", k), "x" })
	server.Do("DEL", "{rollcall}:stream")
	took := usedMemory() - before
	if bytes := accounted(t, server); took > bytes*5/4 || took < bytes/4 {
		t.Errorf("5000 rooms take %d bytes of Redis' memory, accounted are %d", took, bytes)
	}
}

// A message is kept for 7 days, and a room that was not used for so long is
// forgotten without anybody's doing.
func TestHistoriesExpire(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	for _, room := range []string{"old", "used"} {
		a.mustSay(room, "first")
		a.mustSay(room, "second")
	}
	awaitMessages(t, "used", 2, a)
	if left := server.Client().PTTL(t.Context(), "{rollcall}:room:used:messages").Val(); left > adapter.KeepHistory || left < adapter.KeepHistory-time.Minute {
		t.Errorf("the messages stay for %v, want %v", left, adapter.KeepHistory)
	}
	// As if the first messages had been said 7 days ago, and a little more.
	past := time.Now().Add(-adapter.KeepHistory - time.Second).UnixMilli()
	for _, room := range []string{"old", "used"} {
		key := "{rollcall}:room:" + room + ":messages"
		aged := strings.Replace(server.Do("LINDEX", key, 0).(string), `"at":`+fmt.Sprint(a.messages(room)[0].At), `"at":`+fmt.Sprint(past), 1)
		server.Do("LSET", key, 0, aged)
		if kept, err := a.History(t.Context(), room); err != nil || len(kept) != 1 || kept[0].Content != "second" {
			t.Errorf("kept is %+v, %v", kept, err)
		}
	}
	server.Do("ZADD", "{rollcall}:messages:used", past, "old")
	a.eventually("the old room's end", func() bool { return server.Do("EXISTS", "{rollcall}:room:old:messages") == int64(0) })
	a.mustSay("used", "third")
	awaitMessages(t, "used", 3, a)
	if n := server.Do("LLEN", "{rollcall}:room:used:messages"); n != int64(2) {
		t.Errorf("%v messages are stored, want 2", n)
	}
	accounted(t, server)
	server.Do("DEL", "{rollcall}:room:used:messages") // what went by itself does not count either
	a.mustSay("used", "fourth")
	awaitMessages(t, "used", 4, a)
	accounted(t, server)
}

// unwritten is how many users' activity waits to be written.
func (i *instance) unwritten() int {
	i.Store.mu.Lock()
	defer i.Store.mu.Unlock()
	return len(i.active.waiting)
}

// Activity is written, for those online where others read it, and nothing of it
// is lost by closing.
func TestActivity(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	now := time.Now().UnixMilli()
	for socket, status := range map[string]rooms.Status{"online": "", "hidden": rooms.Hidden, "s3": ""} {
		e := online(socket, `{}`)
		if e.Status, e.UserID = status, socket; socket != "s3" {
			e.Key = "socket of " + socket
		}
		a.Put(e)
	}
	agree(t, a)
	later := time.Now().Add(2 * time.Second).UnixMilli() // becomes now
	for _, user := range []string{"online", "hidden", "offline", "s3"} {
		a.Touch(user, later)
	}
	score := func(set, user string) int64 { // 0 for none
		return int64(server.Client().ZScore(t.Context(), "{rollcall}:"+set, user).Val())
	}
	a.eventually("written", func() bool { return a.unwritten() == 0 })
	for user, want := range map[string][2]bool{ // in online, in seen
		"online": {true, true}, "hidden": {false, true}, "offline": {false, true}, "s3": {true, false},
	} {
		if got := [2]bool{score("online", user) >= now, score("seen", user) >= now}; got != want {
			t.Errorf("%s is noted (online, seen) %v, want %v", user, got, want)
		}
	}
	// That an entry is rewritten is no activity.
	before := score("online", "online")
	server.Do("FLUSHALL")
	a.eventually("a resync", func() bool { return a.Stats().Resyncs > 0 })
	agree(t, a)
	if got := score("online", "online"); got > before {
		t.Errorf("last active %d ms later", got-before)
	}
	a.Touch("last", now)
	if at, err := a.LastActive(t.Context(), "last"); at != now || err != nil {
		t.Errorf("before it is written it is %d, %v", at, err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := score("seen", "last"); at != now {
		t.Errorf("after closing it is %d, want %d", at, now)
	}
}

// The last activity of a user is remembered for 30 days: of a million users, and of
// fewer with a long id, in a set of their own, so that it is bounded in bytes.
func TestActivityIsBounded(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	a.eventually("ready", func() bool { return a.Ready() == nil })
	now, longest := time.Now().UnixMilli(), strings.Repeat("x", adapter.MaxSeenID)
	for set, c := range map[string]struct {
		user string // begins with this
		most int
	}{"seen": {strings.Repeat("s", adapter.ShortID-7), adapter.MaxSeen}, "seen:long": {longest[7:], adapter.MaxSeenLong}} {
		key := "{rollcall}:" + set
		size := func() int { return int(server.Do("ZCARD", key).(int64)) }
		for from := 0; from < c.most+10_000; from += 10_000 { // in parts, since Redis does nothing else meanwhile
			server.Do("EVAL", `for i = tonumber(ARGV[1]), ARGV[1] + 9999 do
				redis.call('ZADD', KEYS[1], string.format('%.0f', ARGV[2] + i), 'u' .. i) end`, 1, key, from, now-2*adapter.MaxSeen)
		}
		a.eventually("the bound", func() bool { return size() <= c.most })
		for k := range 1000 {
			a.Touch(fmt.Sprintf("%s%07d", c.user, k), now)
		}
		a.eventually("written", func() bool { return a.unwritten() == 0 })
		if n := size(); n != c.most {
			t.Errorf("%d are in %s, want %d", n, set, c.most)
		}
		if at, err := a.LastActive(t.Context(), c.user+"0000007"); at != now || err != nil || server.Do("ZSCORE", key, "u0") != nil {
			t.Errorf("of %s a new user was active at %d, %v; and the oldest is remembered still", set, at, err)
		}
		server.Do("UNLINK", key)
		server.Do("ZADD", key, now-adapter.KeepSeen.Milliseconds()-1000, "old", now, "new")
		a.eventually("the old one's end", func() bool { return size() == 1 })
	}
	a.Touch(longest+"x", now)
	// What an earlier version wrote, all into one set, still counts.
	server.Do("ZADD", "{rollcall}:seen", now-1, longest)
	for user, want := range map[string]int64{longest: now - 1, longest + "x": 0} {
		if at, err := a.LastActive(t.Context(), user); at != want || err != nil {
			t.Errorf("a user with an id of %d bytes was active at %d, want %d, %v", len(user), at, want, err)
		}
	}
}

// Without Redis, what waits to be written is bounded, and is written when it is
// back.
func TestUnwrittenActivityIsBounded(t *testing.T) {
	b := newLastActiveBuffer()
	for k := range 2 * maxLastActive {
		b.note(fmt.Sprint(k), 1, true)
	}
	b.note("0", 2, true)
	if len(b.waiting) != maxLastActive || b.at("0") != 2 {
		t.Errorf("%d wait, want %d; the first was active at %d", len(b.waiting), maxLastActive, b.at("0"))
	}
	b.done(b.batch(maxTouch))
	if n := len(b.waiting); n != maxLastActive-maxTouch {
		t.Errorf("after one call %d wait", n)
	}
}

// Records never take the connections that the lease needs, however many ask.
func TestQuerySlotsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := querySlots{taken: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, maxWaiting)
		if err := s.acquire(ctx); err != nil {
			t.Fatal(err)
		}
		for range maxWaiting {
			go func() { done <- s.acquire(ctx) }()
		}
		synctest.Wait()
		if err := s.acquire(ctx); err != errUnavailable {
			t.Errorf("one too many waited: %v", err)
		}
		s.release()
		if err := <-done; err != nil {
			t.Errorf("the next one: %v", err)
		}
		cancel()
		for range maxWaiting - 1 { // a call that waits for a turn gives up at once
			if err := <-done; err != context.Canceled {
				t.Errorf("without a turn: %v", err)
			}
		}
	})
}
