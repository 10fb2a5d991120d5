package adaptertest

import (
	"slices"

	"rollcall/rooms"
)

// listsApart has entries under the same keys in lists of all kinds.
func listsApart(s *suite) {
	journals := s.watchAll()
	lists := []string{
		rooms.Online, "room:1", "room:11", "room:", "room:1:users", "stage:1", "race:1",
		"room:\x00", "room:*[a-z]?{}\\", "room:ü 😀\n",
	}
	// Together they could be mistaken for each other's.
	keys := []string{"s", "1s", "", ":s", "\x00s"}
	var want []rooms.Change
	var entries []rooms.Entry
	at := int64(0)
	for _, list := range lists {
		for _, key := range keys {
			at++
			e := entry(0, key, `"in `+list+`"`, at)
			e.List = list
			e.Data = []byte(`{"number":` + string(rune('0'+at%10)) + `}`)
			entries = append(entries, e)
			s.stores[0].Put(e)
			want = append(want, put(e))
		}
	}
	var left []rooms.Change
	for i, e := range entries { // every other one goes, or is replaced
		if i%2 == 0 {
			s.stores[0].Remove(e.EntryKey, rooms.Closed)
			want = append(want, removedFrom(e.EntryKey, rooms.Closed))
			s.stores[0].Remove(e.EntryKey, rooms.Closed) // tells nobody
			continue
		}
		e.Data = []byte(`{"changed":1}`)
		s.stores[0].Put(e)
		want = append(want, put(e))
		left = append(left, put(e))
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
	s.present("a new instance", s.join().awaitCount(len(left)), left)
}

func statusesCarried(s *suite) {
	journals := s.watchAll()
	var want []rooms.Change
	at := int64(1_753_000_000_123)
	for _, list := range []string{rooms.Online, "room:1", "stage:1"} {
		e := entry(0, "s", `{"x":1}`, 5)
		e.List = list
		for _, status := range []rooms.Status{
			"", rooms.Hidden, rooms.Active, rooms.Away, rooms.Hidden, rooms.Hidden, rooms.Away,
		} {
			at++
			e.Status, e.StatusAt = status, at
			s.stores[0].Put(e)
			want = append(want, put(e))
		}
		// Somebody who was never seen at all.
		e.Key, e.Status = "hidden from the first", rooms.Hidden
		s.stores[0].Put(e)
		want = append(want, put(e))
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
	hidden := slices.Clone(want[len(want)-1:])[0].Entry
	s.stores[0].Remove(hidden.EntryKey, rooms.Closed)
	want = append(want, removedFrom(hidden.EntryKey, rooms.Closed))
	var left []rooms.Change
	for i, c := range want[:len(want)-2] {
		if (i+1)%8 == 0 || (i+2)%8 == 0 { // each list's last two
			left = append(left, c)
		}
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
	s.present("a new instance", s.join().awaitCount(len(left)), left)
}
