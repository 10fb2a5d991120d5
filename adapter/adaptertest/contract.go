package adaptertest

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/rooms"
)

var contract = []check{
	{"put, replace and remove", 2, putReplaceRemove},
	{"removing an unknown socket tells nobody", 2, removeUnknown},
	{"every field arrives", 2, everyField},
	{"time rises with every call, on every instance, and is one", 2, sharedTime},
	{"who does not say when joined now, in the order of the puts", 2, joinsNow},
	{"user objects are kept byte for byte", 2, bytesKept},
	{"reasons are carried", 2, reasonsCarried},
	{"a late watcher gets a snapshot in order of joining", 2, snapshotInOrder},
	{"a removed entry is in no snapshot", 2, removedIsGone},
	{"nothing is lost or doubled around a snapshot", 2, snapshotIsExact},
	{"each socket's changes keep their order", 3, orderOfASocket},
	{"stopped is stopped", 2, stopped},
	{"watchers come and go under load", 3, concurrent},
	{"many entries", 2, manyEntries},
	{"lists are apart", 2, listsApart},
	{"statuses are carried, and hiding is no removal", 2, statusesCarried},
	{"everybody hears all messages once, in the order of their ids", 3, messagesInOrder},
	{"messages arrive whole", 2, messagesWhole},
	{"a message comes after what its sender did before", 3, messagesBehindEntries},
	{"the last messages of each room are kept", 2, historyKept},
	{"the same nonce is the same message", 2, messagesOnce},
	{"nobody pushes out the histories of those who take less", 2, historiesFair},
	{"sign-outs are heard once, the own at once", 3, signOuts},
	{"activity is remembered", 2, activity},
	{"only what shows activity counts", 2, activityShown},
}

func putReplaceRemove(s *suite) {
	journals := s.watchAll()
	own := journals[0]
	first, second := entry(0, "a", `{"id":1}`, 10), entry(0, "a", `{"id":1,"n":2}`, 10)
	var want []rooms.Change
	for _, c := range []rooms.Change{put(first), put(second), removed("a", rooms.Closed), put(first)} {
		if c.Removed {
			s.stores[0].Remove(rooms.Place{Key: c.Entry.Key}, c.Reason)
		} else {
			s.stores[0].Put(c.Entry)
		}
		want = append(want, c)
		s.same("own watcher, when the call has returned", own.seen(), want)
	}
	for _, j := range journals {
		s.same("watcher of any instance", j.awaitCount(len(want)), want)
	}
}

func removeUnknown(s *suite) {
	journals := s.watchAll()
	s.stores[0].Remove(rooms.Place{Key: "nobody"}, rooms.Closed)
	last := entry(0, "a", `{}`, 1)
	s.stores[0].Put(last)
	s.stores[0].Remove(rooms.Place{Key: "a"}, rooms.Closed)
	s.stores[0].Remove(rooms.Place{Key: "a"}, rooms.Timeout)
	s.stores[0].Put(last)
	for _, j := range journals {
		s.same("watcher", j.awaitCount(3), []rooms.Change{put(last), removed("a", rooms.Closed), put(last)})
	}
}

func everyField(s *suite) {
	journals := s.watchAll()
	e := rooms.Entry{
		Place:    rooms.Place{Key: "a_-Z:{}\"\\ \u00e9\U0001F600"},
		Instance: Instance(0),
		UserID:   "id \"\\{}: \u00e9\U0001F600",
		Data:     []byte(`{"id":"id \"\\{}: é😀"}`),
		JoinedAt: 1_753_000_000_123_456,

		RegisteredAt: 1_753_000_000_123_789,
		VisibleAt:    1_753_000_000_123_012,
	}
	s.stores[0].Put(e)
	for i, j := range append(journals, s.watch(0)) {
		s.same(fmt.Sprintf("watcher %d", i), j.awaitCount(1), []rooms.Change{put(e)})
	}
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
	for _, j := range journals {
		s.same("watcher", j.awaitCount(len(want)), want)
	}
	for i := range s.stores {
		s.same("late watcher", s.watch(i).awaitCount(len(want)), want)
	}
}

func reasonsCarried(s *suite) {
	journals := s.watchAll()
	var want []rooms.Change
	for _, reason := range []rooms.Reason{rooms.Closed, rooms.Timeout, rooms.SignedOut, rooms.InstanceLost} {
		e := entry(0, "of "+string(reason), `{}`, 1)
		s.stores[0].Put(e)
		s.stores[0].Remove(rooms.Place{Key: e.Key}, reason)
		want = append(want, put(e), removed(e.Key, reason))
	}
	for _, j := range journals {
		s.same("watcher", j.awaitCount(len(want)), want)
	}
}

func snapshotInOrder(s *suite) {
	journals := s.watchAll()
	const n = 100
	var want []rooms.Change
	for i := range n { // the last put joined first
		e := entry(0, fmt.Sprintf("s%03d", i), fmt.Sprintf(`{"n":%d}`, i), int64(1000-i))
		s.stores[0].Put(e)
		want = append(want, put(e))
	}
	slices.Reverse(want)
	// Two tabs of one user share the time: the one put last comes last.
	for _, socket := range []string{"tab 1", "tab 2", "tab 1"} {
		s.stores[0].Put(entry(0, socket, `{"id":1}`, 2000))
	}
	want = append(want, put(entry(0, "tab 2", `{"id":1}`, 2000)), put(entry(0, "tab 1", `{"id":1}`, 2000)))
	// A replaced entry keeps its place.
	again := entry(0, "s050", `{"n":"again"}`, 950)
	s.stores[0].Put(again)
	want[n-1-50] = put(again)
	for i, j := range journals {
		j.awaitCount(n + 4) // this instance knows them all
		s.same("late watcher", s.watch(i).awaitCount(len(want)), want)
	}
}

func removedIsGone(s *suite) {
	journals := s.watchAll()
	a, b := entry(0, "a", `{}`, 1), entry(0, "b", `{}`, 2)
	s.stores[0].Put(a)
	s.stores[0].Put(b)
	s.stores[0].Remove(rooms.Place{Key: "a"}, rooms.Closed)
	for i, j := range journals {
		j.awaitCount(3)
		s.same("late watcher", s.watch(i).awaitCount(1), []rooms.Change{put(b)})
	}
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
	total := n * len(s.stores)
	for i, j := range journals {
		j.awaitCount(total)
		late := s.watch(i).awaitCount(total)
		if len(late) != total {
			s.Fatalf("late watcher: was told %d entries, want %d", len(late), total)
		}
		if !slices.IsSortedFunc(late, func(a, b rooms.Change) int { return int(a.Entry.JoinedAt - b.Entry.JoinedAt) }) {
			s.Fatalf("late watcher: not in order of joining")
		}
	}
	for i, store := range s.stores {
		for j := range n {
			store.Remove(rooms.Place{Key: socket(i, j)}, rooms.Closed)
		}
	}
	for _, j := range journals {
		if present := state(j.awaitCount(2 * total)); len(present) != 0 {
			s.Fatalf("%d entries are left", len(present))
		}
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
