package adapter

import (
	"testing"
	"time"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// Two instances that show different data of one entry, whatever the reason,
// notice it, count it and show the same again.
func TestRedisDifferencesAreFoundAndRepaired(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var ab []*instance
	for _, id := range []string{"a", "b"} {
		i := open(t, RedisOptions{URL: server.URL(), Instance: id, Timing: RedisTiming{Renew: 50 * time.Millisecond}})
		i.enter(10)
		ab = append(ab, i)
	}
	agree(t, bound, ab...)
	for what, spoil := range map[string]func(e rooms.Entry){
		"other data":   func(e rooms.Entry) { e.Data = []byte(`{"id":"old"}`); ab[1].replica.put(e) },
		"another time": func(e rooms.Entry) { e.RegisteredAt++; ab[1].replica.put(e) },
		"none":         func(e rooms.Entry) { ab[1].replica.remove(e.Place, rooms.Closed) },
	} {
		settle(ab...)
		before := ab[0].Stats().Differences + ab[1].Stats().Differences
		e, ok := ab[1].replica.get(rooms.Place{Key: "a/3"})
		if !ok {
			t.Fatal("no entry")
		}
		spoil(e)
		eventually(t, "the difference is found: "+what, 6*bound, func() bool {
			return ab[0].Stats().Differences+ab[1].Stats().Differences > before
		})
		eventually(t, "the same again: "+what, bound, func() bool {
			now, ok := ab[1].replica.get(e.Place)
			return ok && string(now.Data) == string(e.Data) && now.RegisteredAt == e.RegisteredAt
		})
		agree(t, bound, ab...)
	}
}

// The sum depends on what there is, not on how it came.
func TestReplicaSum(t *testing.T) {
	e := func(key, data string) rooms.Entry {
		return rooms.Entry{Place: rooms.Place{Key: key}, Instance: "a", UserID: key, Data: []byte(data), JoinedAt: 1}
	}
	one, two := newSummedReplica(), newSummedReplica()
	one.put(e("x", "1"))
	one.put(e("y", "2"))
	two.put(e("y", "9"))
	two.put(e("z", "3"))
	two.put(e("x", "1"))
	two.put(e("y", "2"))
	if one.digest() == two.digest() {
		t.Error("one entry more makes no difference")
	}
	two.remove(rooms.Place{Key: "z"}, rooms.Closed)
	if one.digest() != two.digest() {
		t.Errorf("%s and %s", one.digest(), two.digest())
	}
	later := e("x", "1")
	later.RegisteredAt = 5
	two.put(later)
	if one.digest() == two.digest() {
		t.Error("the time of a registration makes no difference")
	}
}
