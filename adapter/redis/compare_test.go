package redis

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
		i := open(t, Options{URL: server.URL(), Instance: id, Timing: Timing{Renew: 50 * time.Millisecond}})
		i.enter(10)
		ab = append(ab, i)
	}
	agree(t, bound, ab...)
	place := rooms.EntryKey{Key: "a/3"}
	right := truth(ab[0])[name(place)]
	for what, spoil := range map[string]func(e storedEntry){
		"other data": func(e storedEntry) {
			e.Data, e.version = []byte(`{"id":"a-3","old":true}`), e.version+1
			ab[1].putOther(e, false)
		},
		"another time": func(e storedEntry) {
			e.RegisteredAt, e.version = e.RegisteredAt+1, e.version+1
			ab[1].putOther(e, false)
		},
		"none": func(e storedEntry) { ab[1].removeOther(e.EntryKey, rooms.Closed) },
	} {
		settle(ab...)
		before := ab[0].Stats().Differences + ab[1].Stats().Differences
		ab[0].Store.mu.Lock()
		e := ab[0].own.entries[place]
		ab[0].Store.mu.Unlock()
		ab[1].Store.mu.Lock()
		spoil(storedEntry{Entry: e.Entry, version: e.version})
		ab[1].Store.mu.Unlock()
		eventually(t, "the difference is found: "+what, 6*bound, func() bool {
			return ab[0].Stats().Differences+ab[1].Stats().Differences > before
		})
		eventually(t, "the same again: "+what, bound, func() bool { return ab[1].view()[name(place)] == right })
		agree(t, bound, ab...)
	}
}

// The sum depends on what there is, not on how it came.
func TestSumOfEntries(t *testing.T) {
	e := func(key, data string) rooms.Entry {
		return rooms.Entry{EntryKey: rooms.EntryKey{Key: key}, Instance: "a", UserID: key, Data: []byte(data), JoinedAt: 1}
	}
	one, two := newOwnState(), newOwnState()
	one.put(e("x", "1"), 0)
	one.put(e("y", "2"), 0)
	two.put(e("y", "9"), 0)
	two.put(e("z", "3"), 0)
	two.put(e("x", "1"), 0)
	two.put(e("y", "2"), 0)
	if one.sum == two.sum {
		t.Error("one entry more makes no difference")
	}
	two.remove(rooms.EntryKey{Key: "z"}, rooms.Closed)
	if one.sum != two.sum {
		t.Errorf("%x and %x", one.sum, two.sum)
	}
	later := e("x", "1")
	later.RegisteredAt = 5
	two.put(later, 0)
	if one.sum == two.sum {
		t.Error("the time of a registration makes no difference")
	}
}
