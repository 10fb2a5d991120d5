package adaptertest

import (
	"fmt"
	"strings"

	"rollcall/rooms"
)

var contract = []check{
	{"put, replace and remove", 2, true, putReplaceRemove},
	{"removing an unknown socket tells nobody", 2, true, removeUnknown},
	{"every field arrives", 2, true, everyField},
	{"time rises with every call, on every instance, and is one", 2, false, sharedTime},
	{"user objects are kept byte for byte", 2, true, bytesKept},
	{"reasons are carried", 2, true, reasonsCarried},
	{"a new instance is told what there is", 2, true, snapshotWhole},
	{"a removed entry is in no snapshot", 2, true, removedIsGone},
	{"nothing is lost or doubled around a snapshot", 2, true, snapshotIsExact},
	{"each socket's changes keep their order", 3, true, orderOfASocket},
	{"stopped is stopped", 3, true, stopped},
	{"many entries", 2, true, manyEntries},
	{"lists are apart", 2, true, listsApart},
	{"statuses are carried, and hiding is no removal", 2, true, statusesCarried},
	{"everybody hears all messages once, in the order of their ids", 3, false, messagesInOrder},
	{"messages arrive whole", 2, false, messagesWhole},
	{"a message comes after what its sender did before", 3, true, messagesBehindEntries},
	{"the last messages of each room are kept", 2, false, historyKept},
	{"the same nonce is the same message", 2, false, messagesOnce},
	{"nobody pushes out the histories of those who take less", 2, false, historiesFair},
	{"sign-outs are heard once, by the others", 3, true, signOuts},
	{"activity is remembered", 2, false, activity},
	{"only what shows activity counts", 2, false, activityShown},
}

func putReplaceRemove(s *suite) {
	journals := s.watchAll()
	first, second := entry(0, "a", `{"id":1}`, 10), entry(0, "a", `{"id":1,"n":2}`, 10)
	want := []rooms.Change{put(first), put(second), removed("a", rooms.Closed), put(first)}
	for _, c := range want {
		if c.Removed {
			s.stores[0].Remove(c.Entry.EntryKey, c.Reason)
		} else {
			s.stores[0].Put(c.Entry)
		}
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
	s.sayLast(journals, 0)
	if own := journals[0].seen(); len(own) != 1 {
		s.Fatalf("the own watcher was told %s", describe(own))
	}
}

func removeUnknown(s *suite) {
	journals := s.watchAll()
	s.stores[0].Remove(rooms.EntryKey{Key: "nobody"}, rooms.Closed)
	last := entry(0, "a", `{}`, 1)
	s.stores[0].Put(last)
	s.stores[0].Remove(rooms.EntryKey{Key: "a"}, rooms.Closed)
	s.stores[0].Remove(rooms.EntryKey{Key: "a"}, rooms.Timeout)
	s.stores[0].Put(last)
	s.same("another instance", journals[1].awaitCount(3), []rooms.Change{put(last), removed("a", rooms.Closed), put(last)})
}

func everyField(s *suite) {
	journals := s.watchAll()
	e := rooms.Entry{
		EntryKey: rooms.EntryKey{Key: "a_-Z:{}\"\\ \u00e9\U0001F600"},
		Instance: Instance(0),
		UserID:   "id \"\\{}: \u00e9\U0001F600",
		Data:     []byte(`{"id":"id \"\\{}: é😀"}`),
		JoinedAt: 1_753_000_000_123_456,

		RegisteredAt: 1_753_000_000_123_789,
		VisibleAt:    1_753_000_000_123_012,
	}
	s.stores[0].Put(e)
	s.same("another instance", journals[1].awaitCount(1), []rooms.Change{put(e)})
	s.same("a new instance", s.join().awaitCount(1), []rooms.Change{put(e)})
}

func bytesKept(s *suite) {
	journals := s.watchAll()
	users := []string{
		`{"id":9007199254740993}`,
		`{"id":1.0,"big":1e308,"small":-0.0,"long":0.1000000000000000000001}`,
		`{"z":1,"a":2,"m":{"z":1,"a":2}}`,
		`{"same":1,"same":2}`,
		"{ \"id\" :\t7 ,\r\n \"x\" : [ ] }",
		`{"name":"Zoë 😀 \u00e9 \ud83d\ude00 \u0000 \/ <&>"}`,
		`{"name":"` + "\u2028\u2029\u007f" + `"}`,
		`{}`,
		`{"deep":` + strings.Repeat("[", rooms.MaxDepth-1) + strings.Repeat("]", rooms.MaxDepth-1) + `}`,
		`{"long":"` + strings.Repeat("ä", 30_000) + `"}`,
	}
	var want []rooms.Change
	for i, user := range users {
		e := entry(0, fmt.Sprintf("s%02d", i), user, int64(i+1))
		s.stores[0].Put(e)
		want = append(want, put(e))
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
	s.present("a new instance", s.join().awaitCount(len(want)), want)
}

func reasonsCarried(s *suite) {
	journals := s.watchAll()
	var want []rooms.Change
	for _, reason := range []rooms.Reason{rooms.Closed, rooms.Timeout, rooms.SignedOut, rooms.InstanceLost} {
		e := entry(0, "of "+string(reason), `{}`, 1)
		s.stores[0].Put(e)
		s.stores[0].Remove(rooms.EntryKey{Key: e.Key}, reason)
		want = append(want, put(e), removed(e.Key, reason))
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
}

func snapshotWhole(s *suite) {
	journals := s.watchAll()
	var want []rooms.Change
	for i := range 100 {
		e := entry(i%2, fmt.Sprintf("s%03d", i), fmt.Sprintf(`{"n":%d}`, i), int64(1000-i))
		s.stores[i%2].Put(e)
		want = append(want, put(e))
	}
	again := entry(0, "s050", `{"n":"again"}`, 950)
	s.stores[0].Put(again)
	want[50] = put(again)
	journals[0].awaitCount(50) // they have heard of each other
	journals[1].awaitCount(51)
	s.present("a new instance", s.join().awaitCount(len(want)), want)
}

func removedIsGone(s *suite) {
	journals := s.watchAll()
	a, b := entry(0, "a", `{}`, 1), entry(0, "b", `{}`, 2)
	s.stores[0].Put(a)
	s.stores[0].Put(b)
	s.stores[0].Remove(rooms.EntryKey{Key: "a"}, rooms.Closed)
	journals[1].awaitCount(3)
	s.same("a new instance", s.join().awaitCount(1), []rooms.Change{put(b)})
}

func manyEntries(s *suite) {
	journals := s.watchAll()
	const n = 2000 // per instance
	socket := func(i, j int) string { return fmt.Sprintf("many-%d-%d", i, j) }
	for i, store := range s.stores {
		for j := range n {
			store.Put(entry(i, socket(i, j), fmt.Sprintf(`{"id":"%d-%d"}`, i, j), int64(j+1)))
		}
	}
	for _, j := range journals {
		j.awaitCount(n)
	}
	late := s.join()
	if told := late.awaitCount(2 * n); len(state(told)) != 2*n {
		s.Fatalf("a new instance was told of %d entries, want %d", len(state(told)), 2*n)
	}
	for i := range journals {
		for j := range n {
			s.stores[i].Remove(rooms.EntryKey{Key: socket(i, j)}, rooms.Closed)
		}
	}
	for _, j := range journals {
		if present := state(j.awaitCount(2 * n)); len(present) != 0 {
			s.Fatalf("%d entries are left", len(present))
		}
	}
	if present := state(late.awaitCount(4 * n)); len(present) != 0 {
		s.Fatalf("%d entries are left on the new instance", len(present))
	}
}

// state is what a watcher that was told all this takes for present.
func state(changes []rooms.Change) map[string]string {
	present := make(map[string]string)
	for _, c := range changes {
		if c.Removed {
			delete(present, c.Entry.Key)
		} else {
			present[c.Entry.Key] = string(c.Entry.Data)
		}
	}
	return present
}
