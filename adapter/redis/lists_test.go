package redis

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

var roomsSeed = flag.Uint64("redis.rooms.seed", 0, "repeat TestRedisRoomProjection with this seed")

// enterRoom puts a member of a chat room.
func (i *instance) enterRoom(room, socket, username string, status rooms.Status) {
	name, _ := json.Marshal(username)
	i.Put(rooms.Entry{
		EntryKey: rooms.EntryKey{List: rooms.RoomList(room), Key: socket},
		UserID:   "user of " + socket, Data: name, JoinedAt: 7_999, Status: status,
	})
}

// What others read of a chat room: PROTOCOL.md, section 7.
func TestRedisKeysOfRooms(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	a.enterRoom("lobby", "s1", "Zoë \"<&>\"", "")
	a.enterRoom("lobby", "s2", "Guest", rooms.Away)
	a.enterRoom("x:users", "s1", "Zed", "")
	agree(t, bound, a)
	for key, want := range map[string]map[string]string{
		"{rollcall}:room:lobby:users":   {"s1": `{"username":"Zoë \"\u003c\u0026\u003e\"","joined_at":7}`, "s2": `{"username":"Guest","joined_at":7}`},
		"{rollcall}:room:x:users:users": {"s1": `{"username":"Zed","joined_at":7}`},
		"{rollcall}:users":              {},
	} {
		if got := server.Client().HGetAll(t.Context(), key).Val(); !maps.Equal(got, want) {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	a.enterRoom("lobby", "s1", "another name", "")
	a.Remove(rooms.EntryKey{List: "room:lobby", Key: "s2"}, rooms.Closed)
	a.Remove(rooms.EntryKey{List: "room:x:users", Key: "s1"}, rooms.Closed)
	agree(t, bound, a)
	got := server.Client().HGetAll(t.Context(), "{rollcall}:room:lobby:users").Val()
	if want := map[string]string{"s1": `{"username":"another name","joined_at":7}`}; !maps.Equal(got, want) {
		t.Errorf("the room is %v, want %v", got, want)
	}
	if n := server.Do("EXISTS", "{rollcall}:room:x:users:users"); n != int64(0) {
		t.Error("a room without members has a key")
	}
}

// leaks is where a text is found in any key or value that others may read.
func leaks(t *testing.T, server *redistest.Server, text string) []string {
	t.Helper()
	var out []string
	client := server.Client()
	for _, key := range client.Keys(context.Background(), "*").Val() {
		name := strings.TrimPrefix(key, "{rollcall}:")
		public := name == "users" || name == "online" || name == "instances" || strings.HasPrefix(name, "room:") && strings.HasSuffix(name, ":users")
		var content any
		switch client.Type(context.Background(), key).Val() {
		case "hash":
			content = client.HGetAll(context.Background(), key).Val()
		case "zset":
			content = client.ZRange(context.Background(), key, 0, -1).Val()
		}
		if public && strings.Contains(key+fmt.Sprint(content), text) {
			out = append(out, key)
		}
	}
	return out
}

// Hidden users are in private keys alone, whatever they do and however they
// came to be hidden.
func TestRedisHiddenIsPrivate(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	all := opens(t, server.URL(), "a", "b")
	a := all[0]
	put := func(socket string, status rooms.Status) {
		a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: socket}, UserID: "secret", Data: []byte(`{"id":"secret"}`), Status: status, StatusAt: 1})
	}
	check := func(when string, want ...string) {
		t.Helper()
		agree(t, bound, all...)
		if got := leaks(t, server, "secret"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s the user is in %v, want %v", when, got, want)
		}
	}
	room := "{rollcall}:room:1:users"
	put("secret-1", rooms.Hidden)
	a.enterRoom("1", "secret-1", "secret", rooms.Hidden)
	check("hidden from the first")
	put("secret-1", rooms.Active)
	put("secret-2", rooms.Active)
	a.enterRoom("1", "secret-1", "secret", rooms.Active)
	agree(t, bound, all...)
	if got := leaks(t, server, "secret"); len(got) != 3 {
		t.Fatalf("shown, the user is in %v", got) // or the test could not see a leak
	}
	put("secret-1", rooms.Hidden) // one of two tabs: the others follow
	put("secret-2", rooms.Hidden)
	check("hidden, in a room", room)
	a.enterRoom("1", "secret-1", "secret", rooms.Hidden)
	check("hidden altogether")
	a.Touch("secret", time.Now().UnixMilli())
	if err := a.flushLastActive(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("hidden and active")
	server.Do("DEL", "{rollcall}:progress:a") // all is put back
	a.Remove(rooms.EntryKey{Key: "secret-2"}, rooms.Closed)
	settle(all...)
	check("restored")
	put("secret-1", rooms.Active)
	a.Remove(rooms.EntryKey{Key: "secret-1"}, rooms.Closed)
	check("gone")
	if n := server.Do("HLEN", "{rollcall}:tabs"); n != int64(0) {
		t.Errorf("%v users without a visible tab are counted", n)
	}
}

// Hiding moves an entry in one step: at no moment is it in both hashes, or in
// none.
func TestRedisHidesInOneStep(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	put := func(status rooms.Status) {
		a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: "s"}, UserID: "u", Data: []byte(`{}`), Status: status})
	}
	put(rooms.Active)
	agree(t, bound, a)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for k := range 400 {
			put([]rooms.Status{rooms.Hidden, rooms.Active}[k%2])
			for a.Stats().Queued > 0 {
				time.Sleep(100 * time.Microsecond) // one step a call
			}
		}
	}()
	seen := make(map[string]int)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		got := server.Do("EVAL", `return {redis.call('HEXISTS', KEYS[1]..':users', 's'),
			redis.call('HEXISTS', KEYS[1]..':entries', '0:s'), redis.call('ZCARD', KEYS[1]..':online')}`, 1, "{rollcall}").([]any)
		seen[fmt.Sprint(got...)]++
	}
	if len(seen) != 2 || seen["1 0 1"] == 0 || seen["0 1 0"] == 0 {
		t.Errorf("seen were (users, entries, online) %v", seen)
	}
}

// Random joins, leaves, changes of names, hiding and deaths: in the end what
// others read of every room is right.
func TestRedisRoomProjection(t *testing.T) {
	t.Parallel()
	seed := *roomsSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -redis.rooms.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 4))
	server := redistest.Start(t)
	all := opens(t, server.URL(), "a", "b", "c")
	inRooms := []string{"1", "2", "3:users", "ü *[]{}", "\x00"}
	for round := range 3 {
		for step := range 600 {
			i := all[random.IntN(len(all))]
			socket := fmt.Sprintf("%s/%d", i.Instance(), random.IntN(30))
			room := inRooms[random.IntN(len(inRooms))]
			switch random.IntN(4) {
			case 0:
				i.Remove(rooms.EntryKey{List: rooms.RoomList(room), Key: socket}, rooms.Closed)
			case 1:
				i.enterRoom(room, socket, fmt.Sprint("name ", step), rooms.Hidden)
			default:
				i.enterRoom(room, socket, fmt.Sprint("name ", random.IntN(5)), []rooms.Status{"", rooms.Away}[random.IntN(2)])
			}
		}
		agree(t, bound, all...)
		for _, room := range inRooms {
			checkProjection(t, server, room, all...)
		}
		if round < 2 { // one of them dies
			all[len(all)-1].disconnect()
			all = all[:len(all)-1]
			agree(t, 2*bound, all...)
			for _, room := range inRooms {
				checkProjection(t, server, room, all...)
			}
		}
	}
}

// checkProjection compares what others read of a room with what the instances
// hold.
func checkProjection(t *testing.T, server *redistest.Server, room string, all ...*instance) {
	t.Helper()
	want := make(map[string]string)
	for _, i := range all {
		i.Store.mu.Lock()
		for place, e := range i.own.entries {
			if place.List == rooms.RoomList(room) && e.Status != rooms.Hidden {
				want[place.Key] = publicPart(e.Entry)
			}
		}
		i.Store.mu.Unlock()
	}
	got := server.Client().HGetAll(t.Context(), "{rollcall}:room:"+room+":users").Val()
	if !maps.Equal(got, want) {
		t.Errorf("room %q: %s", room, difference(got, want))
	}
}

// checkOnline compares who is online with what the instances hold.
func checkOnline(t *testing.T, server *redistest.Server, all ...*instance) {
	t.Helper()
	want := make(map[string]string) // visible sockets by user
	for _, i := range all {
		i.Store.mu.Lock()
		for place, e := range i.own.entries {
			if place.List == rooms.Online && e.Status != rooms.Hidden {
				n, _ := strconv.Atoi(want[e.UserID])
				want[e.UserID] = strconv.Itoa(n + 1)
			}
		}
		i.Store.mu.Unlock()
	}
	if got := server.Client().HGetAll(t.Context(), "{rollcall}:tabs").Val(); !maps.Equal(got, want) {
		t.Errorf("counted are %s", difference(got, want))
	}
	online := server.Client().ZRange(t.Context(), "{rollcall}:online", 0, -1).Val()
	slices.Sort(online)
	if users := slices.Sorted(maps.Keys(want)); !slices.Equal(online, users) {
		t.Errorf("online are %q, want %q", online, users)
	}
}
