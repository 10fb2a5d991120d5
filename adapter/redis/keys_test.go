package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// keyspace reads the keys behind a prefix, of a real Redis or a simulated one.
type keyspace interface {
	keys() []string
	hash(key string) map[string]string
	members(key string) []string // of a sorted set
}

type realKeys struct {
	client goredis.UniversalClient
	prefix string
}

func (r realKeys) keys() []string {
	all := r.client.Keys(context.Background(), r.prefix+"*").Val()
	for i, key := range all {
		all[i] = strings.TrimPrefix(key, r.prefix)
	}
	return all
}

func (r realKeys) hash(key string) map[string]string {
	return r.client.HGetAll(context.Background(), r.prefix+key).Val() // of another type: nothing
}

func (r realKeys) members(key string) []string {
	return r.client.ZRange(context.Background(), r.prefix+key, 0, -1).Val()
}

// entriesIn is all entries that there are, in either hash, as text.
func entriesIn(k keyspace) map[rooms.EntryKey]string {
	out := make(map[rooms.EntryKey]string)
	for key, value := range k.hash("users") {
		out[rooms.EntryKey{Key: key}] = value
	}
	for at, value := range k.hash("entries") {
		place, _ := parseAddress(at)
		out[place] = value
	}
	return out
}

// checkPublic compares what other programs read (PROTOCOL.md, section 7) with
// the entries that there are, and says what is wrong.
func checkPublic(k keyspace) (wrong []string) {
	want := map[string]map[string]string{"tabs": {}}
	for place, value := range entriesIn(k) {
		e, err := parseEntry(place, value)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("the entry of %v is %.200q: %v", place, value, err))
		}
		key, field, public := place.List+":users", place.Key, publicPart(e.Entry)
		switch {
		case public == "":
			continue
		case place.List == rooms.Online: // the user's sockets are counted
			key, field = "tabs", e.UserID
			n, _ := strconv.Atoi(want[key][field])
			public = strconv.Itoa(n + 1)
		case want[key] == nil:
			want[key] = make(map[string]string)
		}
		want[key][field] = public
	}
	got := map[string]map[string]string{"tabs": k.hash("tabs")}
	for _, key := range k.keys() {
		if strings.HasSuffix(key, ":users") {
			got[key] = k.hash(key)
		}
	}
	if !maps.EqualFunc(got, want, maps.Equal[map[string]string, map[string]string]) {
		wrong = append(wrong, fmt.Sprintf("other programs read %v, want %v", got, want))
	}
	users := slices.Sorted(slices.Values(k.members("online")))
	if all := slices.Sorted(maps.Keys(want["tabs"])); !slices.Equal(users, all) {
		wrong = append(wrong, fmt.Sprintf("online are %q, want %q", users, all))
	}
	return wrong
}

// What Rails reads: the keys of PROTOCOL.md, section 7.
func TestKeysForOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a", Prefix: "app"})
	user := "{ \"id\" : 1.0, \"x\":\"é\\u00e9,\\\"instance\\\":\",\"big\":12345678901234567890, \"instance\":\"no\" }"
	put := func(socket, id string) {
		a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: socket}, UserID: id, Data: []byte(user), JoinedAt: 1753000000123456})
	}
	online := func(want string) {
		t.Helper()
		agree(t, a)
		if got := fmt.Sprint(server.Do("ZRANGE", "{app}:online", 0, -1)); got != want {
			t.Errorf("online are %s, want %s", got, want)
		}
	}
	put("s1", "1")
	put("s2", "1")
	put("s3", "<3>")
	online("[1 <3>]")
	got := server.Do("HGET", "{app}:users", "s1").(string)
	if want := `{"user":` + user + `,"instance":"a","joined_at":1753000000123,"id":"1",`; !strings.HasPrefix(got, want) {
		t.Errorf("the entry is\n%s\nwant\n%s…", got, want)
	}
	active, err := server.Client().ZScore(t.Context(), "{app}:online", "1").Result()
	if age := time.Now().UnixMilli() - int64(active); err != nil || age < 0 || age > 60_000 {
		t.Errorf("last active %d ms ago, %v", age, err)
	}
	till, err := server.Client().ZScore(t.Context(), "{app}:instances", "a").Result()
	if left := int64(till) - time.Now().UnixMilli(); err != nil || left < -60_000 || left > 3000 {
		t.Errorf("the lease ends in %d ms, %v", left, err)
	}
	a.Remove(rooms.EntryKey{Key: "s1"}, rooms.Closed) // the user has another socket
	put("s3", "4")                                    // somebody else from now on
	online("[1 4]")
	a.Remove(rooms.EntryKey{Key: "s2"}, rooms.Closed)
	online("[4]")
	for _, key := range server.Do("KEYS", "*").([]any) {
		if !strings.HasPrefix(key.(string), "{app}:") {
			t.Errorf("the key %s is outside of the prefix", key)
		}
	}
}

// enterRoom puts a member of a chat room.
func (i *instance) enterRoom(room, socket, username string, status rooms.Status) {
	data, _ := json.Marshal(username)
	i.Put(rooms.Entry{
		EntryKey: rooms.EntryKey{List: rooms.RoomList(room), Key: socket},
		UserID:   "user of " + socket, Data: data, JoinedAt: 7_999, Status: status,
	})
}

// What others read of a chat room: PROTOCOL.md, section 7.
func TestKeysOfRooms(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	lobby := func(want map[string]string) {
		t.Helper()
		agree(t, a)
		if got := server.Client().HGetAll(t.Context(), "{rollcall}:room:lobby:users").Val(); !maps.Equal(got, want) {
			t.Errorf("the room is %v, want %v", got, want)
		}
	}
	a.enterRoom("lobby", "s1", "Zoë \"<&>\"", "")
	a.enterRoom("lobby", "s2", "Guest", rooms.Away)
	a.enterRoom("x:users", "s1", "Zed", "")
	lobby(map[string]string{"s1": `{"username":"Zoë \"\u003c\u0026\u003e\"","joined_at":7}`, "s2": `{"username":"Guest","joined_at":7}`})
	a.enterRoom("lobby", "s1", "another name", "")
	a.Remove(rooms.EntryKey{List: "room:lobby", Key: "s2"}, rooms.Closed)
	a.Remove(rooms.EntryKey{List: "room:x:users", Key: "s1"}, rooms.Closed)
	lobby(map[string]string{"s1": `{"username":"another name","joined_at":7}`})
}

// Hidden users are in private keys alone, whatever they do and however they
// came to be hidden.
func TestHiddenIsPrivate(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := open(t, Options{URL: server.URL(), Instance: "a"})
	put := func(socket string, status rooms.Status) {
		a.Put(rooms.Entry{EntryKey: rooms.EntryKey{Key: socket}, UserID: "secret", Data: []byte(`{"id":"secret"}`), Status: status, StatusAt: 1})
	}
	public := realKeys{server.Client(), "{rollcall}:"}
	check := func(when string, want ...string) {
		t.Helper()
		agree(t, a)
		var got []string
		for _, key := range public.keys() {
			private := key == "entries" || key == "tabs" || key == "seen" || strings.HasPrefix(key, "sockets:")
			if !private && strings.Contains(fmt.Sprint(key, public.hash(key), public.members(key)), "secret") {
				got = append(got, key)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s the user is in %v, want %v", when, got, want)
		}
	}
	put("secret-1", rooms.Hidden)
	a.enterRoom("1", "secret-1", "secret", rooms.Hidden)
	check("hidden from the first")
	put("secret-1", rooms.Active)
	put("secret-2", rooms.Active)
	a.enterRoom("1", "secret-1", "secret", rooms.Active)
	check("shown", "online", "room:1:users", "users") // or the test could not see a leak
	put("secret-1", rooms.Hidden)
	put("secret-2", rooms.Hidden)
	check("hidden, but for a room", "room:1:users")
	a.enterRoom("1", "secret-1", "secret", rooms.Hidden)
	a.Touch("secret", time.Now().UnixMilli())
	a.eventually("the activity is written", func() bool { return a.unwritten() == 0 })
	check("hidden altogether and active")
	server.Do("DEL", "{rollcall}:progress:a") // all is written again
	settle(a)
	a.Remove(rooms.EntryKey{Key: "secret-2"}, rooms.Closed)
	check("restored")
	put("secret-1", rooms.Active)
	a.Remove(rooms.EntryKey{Key: "secret-1"}, rooms.Closed)
	check("gone")
}
