package adaptertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/rooms"
)

var contract = []check{
	{"put, replace and remove, and nobody is told what changes nothing", 2, true, putReplaceRemove},
	{"every field arrives, byte for byte", 2, true, everyField},
	{"time rises with every call, on every instance, and is one", 2, false, sharedTime},
	{"a new instance is told what there is", 2, true, snapshotWhole},
	{"nothing is lost or doubled around a snapshot", 2, true, snapshotIsExact},
	{"each socket's changes keep their order", 3, true, orderOfASocket},
	{"stopped is stopped", 3, true, stopped},
	{"lists are apart", 2, true, listsApart},
	{"statuses are carried, and hiding is no removal", 2, true, statusesCarried},
	{"everybody is told all messages once, in the order of their ids", 3, false, messagesInOrder},
	{"messages arrive whole", 2, false, messagesWhole},
	{"a message comes after what its sender did before", 3, true, messagesBehindEntries},
	{"the last messages of each room are kept", 2, false, historyKept},
	{"the same nonce is the same message", 2, false, messagesOnce},
	{"nobody pushes out the histories of those who take less", 2, false, historiesFair},
	{"the others are told of a sign-out once", 3, true, signOuts},
	{"activity is remembered", 2, false, activity},
	{"only what shows activity counts", 2, false, activityShown},
}

func putReplaceRemove(s *suite) {
	journals := s.watchAll()
	first, second := entry(0, "a", `{"id":1}`, 10), entry(0, "a", `{"id":1,"n":2}`, 10)
	store := s.stores[0]
	store.Remove(first.EntryKey, rooms.Closed) // an unknown one
	want := []rooms.Change{put(first), put(second)}
	store.Put(first)
	store.Put(second)
	for _, reason := range []rooms.Reason{rooms.Closed, rooms.Timeout, rooms.SignedOut, rooms.InstanceLost} {
		store.Remove(first.EntryKey, reason)
		store.Remove(first.EntryKey, rooms.Closed)
		store.Put(first)
		want = append(want, removed(first.EntryKey, reason), put(first))
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
	s.postLast(journals, 0)
	if own := journals[0].seen(); len(own) != 1 {
		s.Fatalf("the own watcher was told %s", describe(own))
	}
}

func everyField(s *suite) {
	journals := s.watchAll()
	special := entry(0, "a_-Z:{}\"\\ \u00e9\U0001F600", `{"id":"id \"\\{}: é😀"}`, 1_753_000_000_123_456)
	special.UserID = "id \"\\{}: \u00e9\U0001F600"
	special.RegisteredAt, special.VisibleAt = 1_753_000_000_123_789, 1_753_000_000_123_012
	s.stores[0].Put(special)
	want := []rooms.Change{put(special)}
	for i, user := range []string{
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
	} {
		e := entry(0, fmt.Sprintf("s%02d", i), user, int64(i+1))
		s.stores[0].Put(e)
		want = append(want, put(e))
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
	s.present("a new instance", s.join().awaitCount(len(want)), want)
}

// snapshotWhole has more entries than one call carries.
func snapshotWhole(s *suite) {
	const n = 2000 // each instance
	journals := s.watchAll()
	var want []rooms.Change
	for k := range 2 * n {
		e := entry(k%2, fmt.Sprintf("s%04d", k), fmt.Sprintf(`{"n":%d}`, k), int64(10_000-k))
		s.stores[k%2].Put(e)
		want = append(want, put(e))
	}
	replaced, gone := entry(0, "s0050", `{"n":"again"}`, 950), want[0].Entry.EntryKey
	s.stores[0].Put(replaced)
	s.stores[0].Remove(gone, rooms.Closed)
	want[50] = put(replaced)
	want = want[1:]
	journals[0].awaitCount(n) // they know each other's
	journals[1].awaitCount(n + 2)
	journals = append(journals, s.join())
	s.present("a new instance", journals[2].awaitCount(len(want)), want)
	for _, c := range want {
		s.stores[c.Entry.JoinedAt%2].Remove(c.Entry.EntryKey, rooms.Closed)
	}
	for i, told := range []int{2 * n, 2*n + 1, 4*n - 2} {
		present := make(map[rooms.EntryKey]bool)
		for _, c := range journals[i].awaitCount(told) {
			if present[c.Entry.EntryKey] = true; c.Removed {
				delete(present, c.Entry.EntryKey)
			}
		}
		if len(present) > 0 {
			s.Fatalf("%d entries are left on instance %d", len(present), i)
		}
	}
}

// sharedTime: every instance tells the same time, and none tells one twice.
func sharedTime(s *suite) {
	const tolerance = 5 * time.Second // of a busy machine; the clocks are one
	for i, store := range s.stores {
		// Until it is ready, the first measurement of another machine's clock may set it back.
		remote, ok := store.(interface{ Ready() error })
		for end := time.Now().Add(s.patience); ok && remote.Ready() != nil; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				s.Fatalf("instance %d: %v", i, remote.Ready())
			}
		}
		last := store.Now()
		for range 1000 {
			now := store.Now()
			if now <= last {
				s.Fatalf("instance %d: %d after %d", i, now, last)
			}
			last = now
		}
		if off := time.Since(time.UnixMicro(last)); off.Abs() > tolerance {
			s.Fatalf("instance %d: off by %v", i, off)
		}
	}
}

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
			want = append(want, removed(e.EntryKey, rooms.Closed))
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
	want = append(want, removed(hidden.EntryKey, rooms.Closed))
	var left []rooms.Change
	for i, c := range want[:len(want)-2] {
		if (i+1)%8 == 0 || (i+2)%8 == 0 { // each list's last two
			left = append(left, c)
		}
	}
	s.same("another instance", journals[1].awaitCount(len(want)), want)
	s.present("a new instance", s.join().awaitCount(len(left)), left)
}
