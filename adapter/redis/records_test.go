package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

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
		if err := client.ZScore(ctx, "{rollcall}:messages:used", room).Err(); err != nil {
			t.Errorf("room %q is not in the index: %v", room, err)
		}
		sum += size
	}
	if account["bytes"] != strconv.Itoa(sum) {
		t.Errorf("all take %d bytes, accounted are %s", sum, account["bytes"])
	}
	if n := client.ZCard(ctx, "{rollcall}:messages:used").Val(); int(n) != len(account)-2 {
		t.Errorf("%d rooms are in the index, %d in the account", n, len(account)-2)
	}
	lists := client.Keys(ctx, "{rollcall}:room:*:messages").Val()
	if len(lists) != len(account)-2 {
		t.Errorf("%d rooms have messages, %d an account", len(lists), len(account)-2)
	}
	return sum
}

// All histories together are bounded: who was not used for longest goes first.
func TestRedisHistoriesAreBounded(t *testing.T) {
	const maxHistories, maxStreamBytes = 4 << 20, 2 << 20
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a", limits: limits{maxHistories: maxHistories, maxStreamBytes: maxStreamBytes}})
	written := func() {
		t.Helper()
		a.eventually("written", 4*bound, func() bool { return a.Stats().Queued == 0 })
	}
	long := strings.Repeat("漢", 250) // 750 bytes
	say(t, a, "used again", "x")
	say(t, a, "first", "x")
	written()
	for n := range 6000 { // 5 MB
		for a.say(fmt.Sprintf("room %d", n/100), long) != nil {
			written()
		}
		if n%1000 == 0 {
			written()
			say(t, a, "used again", "x")
		}
	}
	written()
	bytes := accounted(t, server)
	if bytes > maxHistories || bytes < maxHistories-2*100*900 {
		t.Errorf("histories take %d bytes, the bound is %d", bytes, maxHistories)
	}
	memory, err := server.Client().Eval(t.Context(), `local n = 0
		for _, key in ipairs(redis.call('KEYS', '*:messages*')) do n = n + redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) end
		return n`, nil).Int()
	if err != nil || memory > maxHistories*5/4 {
		t.Errorf("in Redis' memory that is %d bytes, %v", memory, err)
	}
	for room, want := range map[string]int{"first": 0, "room 0": 0, "room 59": 100, "used again": 7} {
		if kept := a.kept(room); len(kept) != want {
			t.Errorf("of room %q %d messages are kept, want %d", room, len(kept), want)
		}
	}
	// So are the announcements, by their number and by their bytes.
	a.eventually("a stream of less bytes", bound, func() bool {
		return server.Client().MemoryUsage(t.Context(), "{rollcall}:stream", 0).Val() <= maxStreamBytes
	})
}

// Many small rooms count for what they take.
func TestRedisManyRooms(t *testing.T) {
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	a.eventually("ready", bound, func() bool { return a.Ready() == nil })
	const n = 20_000
	before := usedMemory(t, server)
	for k := range n {
		for a.say(fmt.Sprintf("room %d", k), "x") != nil {
			a.eventually("written", bound, func() bool { return a.Stats().Queued < maxMessages/2 })
		}
	}
	a.eventually("written", 4*bound, func() bool { return a.Stats().Queued == 0 })
	server.Do("DEL", "{rollcall}:stream")
	took := usedMemory(t, server) - before
	if bytes := accounted(t, server); took > bytes*5/4 {
		t.Errorf("%d rooms take %d bytes of Redis' memory, accounted are %d", n, took, bytes)
	}
}

func usedMemory(t *testing.T, server *redistest.Server) int {
	t.Helper()
	_, rest, _ := strings.Cut(server.Client().Info(t.Context(), "memory").Val(), "used_memory:")
	value, _, _ := strings.Cut(rest, "\r")
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A message is kept for 7 days, and a room that was not used for so long is
// forgotten without anybody's doing.
func TestRedisHistoriesExpire(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	for _, room := range []string{"old", "used"} {
		say(t, a, room, "first")
		say(t, a, room, "second")
	}
	sameMessages(t, "used", 2, a)
	if left := server.Client().PTTL(t.Context(), "{rollcall}:room:used:messages").Val(); left > adapter.KeepHistory || left < adapter.KeepHistory-time.Minute {
		t.Errorf("the messages stay for %v, want %v", left, adapter.KeepHistory)
	}
	// As if the first messages had been said 7 days ago, and a little more.
	past := time.Now().Add(-adapter.KeepHistory - time.Second).UnixMilli()
	for _, room := range []string{"old", "used"} {
		key := "{rollcall}:room:" + room + ":messages"
		aged := strings.Replace(server.Do("LINDEX", key, 0).(string), `"at":`+fmt.Sprint(a.heard(room)[0].At), `"at":`+fmt.Sprint(past), 1)
		server.Do("LSET", key, 0, aged)
		if kept := a.kept(room); len(kept) != 1 || kept[0].Content != "second" {
			t.Errorf("kept is %+v", kept)
		}
	}
	server.Do("ZADD", "{rollcall}:messages:used", past, "old")
	a.eventually("the old room's end", bound, func() bool { return server.Do("EXISTS", "{rollcall}:room:old:messages") == int64(0) })
	say(t, a, "used", "third")
	sameMessages(t, "used", 3, a)
	if n := server.Do("LLEN", "{rollcall}:room:used:messages"); n != int64(2) {
		t.Errorf("%v messages are stored, want 2", n)
	}
	accounted(t, server)
	// What went by itself does not count either.
	server.Do("DEL", "{rollcall}:room:used:messages")
	say(t, a, "used", "fourth")
	sameMessages(t, "used", 4, a)
	accounted(t, server)
}

func seen(t *testing.T, server *redistest.Server, user string) int64 {
	t.Helper()
	at, err := server.Client().ZScore(t.Context(), "{rollcall}:seen", user).Result()
	if err != nil && err != goredis.Nil {
		t.Fatal(err)
	}
	return int64(at)
}

// unnoted is how much of that waits.
func (i *instance) unnoted() int {
	i.Store.mu.Lock()
	defer i.Store.mu.Unlock()
	return len(i.Store.active.waiting)
}

// Activity is written, for those online where others read it, and nothing of it
// is lost by closing.
func TestRedisActivity(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	now := time.Now().UnixMilli()
	a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "s1"}, UserID: "online", Data: []byte(`{}`)})
	a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "s2"}, UserID: "hidden", Data: []byte(`{}`), Status: rooms.Hidden})
	a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "s3"}, UserID: "s3", Data: []byte(`{}`)})
	agree(t, bound, a)
	later := time.Now().Add(2 * time.Second).UnixMilli() // becomes now
	for _, user := range []string{"online", "hidden", "offline", "s3"} {
		a.Touch(user, later)
	}
	a.eventually("written", bound, func() bool { return seen(t, server, "offline") > 0 })
	score := func(user string) int64 {
		at, _ := server.Client().ZScore(t.Context(), "{rollcall}:online", user).Result()
		return int64(at)
	}
	for user, want := range map[string][2]bool{ // in online, in seen
		"online": {true, true}, "hidden": {false, true}, "offline": {false, true}, "s3": {true, false},
	} {
		if got := [2]bool{score(user) >= now, seen(t, server, user) >= now}; got != want {
			t.Errorf("%s is noted (online, seen) %v, want %v", user, got, want)
		}
	}
	a.Touch("last", now)
	if at, err := a.LastActive(t.Context(), "last"); at != now || err != nil {
		t.Errorf("before it is written it is %d, %v", at, err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := seen(t, server, "last"); at != now {
		t.Errorf("after closing it is %d, want %d", at, now)
	}
}

// That somebody became away, or was rewritten, is no activity.
func TestRedisAwayIsNoActivity(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	put := func(status rooms.Status) {
		a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "s"}, UserID: "u", Data: []byte(`{}`), Status: status, StatusAt: 1})
	}
	online := func() int64 { return int64(server.Client().ZScore(t.Context(), "{rollcall}:online", "u").Val()) }
	put("")
	agree(t, bound, a)
	at := online()
	if at == 0 {
		t.Fatal("nobody is online")
	}
	eventually(t, "later", bound, func() bool { return time.Now().UnixMilli() > at+1 })
	put(rooms.Away)
	agree(t, bound, a)
	server.Do("FLUSHALL")
	a.eventually("a resync", bound, func() bool { return a.Stats().Resyncs > 0 })
	agree(t, bound, a)
	if got := online(); got != at {
		t.Errorf("last active %d ms later", got-at)
	}
}

// Who was active is remembered for 30 days, and a million of them.
func TestRedisActivityIsBounded(t *testing.T) {
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	a.eventually("ready", bound, func() bool { return a.Ready() == nil })
	now := time.Now().UnixMilli()
	fill := func(from, to int, at int64) {
		t.Helper()
		for ; from < to; from += 50_000 { // in parts, since Redis does nothing else meanwhile
			server.Do("EVAL", `for i = tonumber(ARGV[1]), ARGV[2] - 1 do
				redis.call('ZADD', '{rollcall}:seen', string.format('%.0f', ARGV[3] + i), 'user '..i) end`, 0, from, from+50_000, at)
		}
	}
	count := func() int64 { return server.Do("ZCARD", "{rollcall}:seen").(int64) }
	fill(0, adapter.MaxSeen+50_000, now-2*adapter.MaxSeen)
	a.eventually("a million at most", bound, func() bool { return count() <= adapter.MaxSeen })
	for k := range 3000 {
		a.Touch(fmt.Sprint("new ", k), now)
	}
	a.eventually("written", bound, func() bool { return a.unnoted() == 0 })
	if n := count(); n != adapter.MaxSeen {
		t.Errorf("%d are remembered, want %d", n, adapter.MaxSeen)
	}
	if at := seen(t, server, "user 0"); at != 0 {
		t.Error("the oldest is remembered still")
	}
	server.Do("DEL", "{rollcall}:seen")
	server.Do("ZADD", "{rollcall}:seen", now-adapter.KeepSeen.Milliseconds()-1000, "old")
	server.Do("ZADD", "{rollcall}:seen", now, "new")
	a.eventually("the old one's end", bound, func() bool { return count() == 1 })
}

// Without Redis, what waits to be noted is bounded.
func TestRedisSightingsAreBounded(t *testing.T) {
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	agree(t, bound, a)
	server.Kill()
	a.eventually("gone", bound, func() bool { _, err := a.LastActive(t.Context(), "x"); return isUnavailable(err) })
	now := time.Now().UnixMilli()
	for k := range 2 * maxLastActive {
		a.Touch(fmt.Sprint(k), now)
	}
	a.Touch("0", now+1)
	a.Touch(strings.Repeat("x", adapter.MaxSeenID+1), now)
	if n := a.unnoted(); n != maxLastActive {
		t.Errorf("%d wait, want %d", n, maxLastActive)
	}
	server.Restart()
	a.eventually("written", 4*bound, func() bool { return a.unnoted() == 0 })
	if n := server.Do("ZCARD", "{rollcall}:seen"); n != int64(maxLastActive) {
		t.Errorf("%v are noted, want %d", n, maxLastActive)
	}
}

// Records never take the connections that the lease needs, however many ask.
func TestRedisRecallsAreBounded(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	agree(t, bound, a)
	calls := a.gate("evalsha")
	calls.close()
	ctx, cancel := context.WithCancel(t.Context())
	const asking = maxQueries + maxWaiting + 30
	done := make(chan error, asking)
	before := calls.count()
	for range asking {
		go func() {
			_, err := a.History(ctx, "1")
			done <- err
		}()
	}
	a.eventually("the bound", bound, func() bool { return len(a.queries.taken) == maxQueries && calls.count() > before })
	for range asking - maxQueries - maxWaiting { // a call without a place to wait fails at once
		if err := <-done; !errors.Is(err, errUnavailable) {
			t.Errorf("one too many waited: %v", err)
		}
	}
	// The app has places of its own, beside all these.
	fromApp := make(chan error, 1)
	asked := calls.count()
	go func() {
		_, err := a.LastActive(rooms.FromApp(t.Context()), "1")
		fromApp <- err
	}()
	a.eventually("the app's call", bound, func() bool { return calls.count() > asked && len(a.appQueries.taken) == 1 })
	cancel()
	for range maxWaiting { // who waits for a turn gives up at once
		if err := <-done; err == nil {
			t.Error("an answer came through a closed gate")
		}
	}
	calls.open()
	for range maxQueries {
		<-done
	}
	if err := <-fromApp; err != nil {
		t.Errorf("the app's call: %v", err)
	}
}
