package adaptertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/rooms"
)

// messages are those of a room, of all there were told.
func messages(changes []rooms.Change, room string) []rooms.ChatMessage {
	var out []rooms.ChatMessage
	for _, c := range changes {
		if c.Message != nil && c.Message.Room == room {
			out = append(out, *c.Message)
		}
	}
	return out
}

func countMessages(changes []rooms.Change) int {
	return len(slices.DeleteFunc(slices.Clone(changes), func(c rooms.Change) bool { return c.Message == nil }))
}

func (j *journal) awaitMessages(n int) []rooms.Change {
	j.s.Helper()
	return j.await(fmt.Sprintf("%d messages", n), func(c []rooms.Change) bool { return countMessages(c) >= n })
}

func (s *suite) post(i int, room, username, content string) {
	s.Helper()
	if _, err := s.stores[i].PostMessage(rooms.ChatPost{Room: room, Username: username, Content: content}); err != nil {
		s.Fatalf("a message was refused: %v", err)
	}
}

// postLast posts what comes last: when it was told, so was all before.
func (s *suite) postLast(journals []*journal, before int) {
	s.Helper()
	s.post(0, "last", "", "")
	for _, j := range journals {
		j.awaitMessages(before + 1)
	}
}

func messagesInOrder(s *suite) {
	const each, senders = 50, 4
	journals := s.watchAll()
	inRooms := []string{"a", "b"}
	var sending sync.WaitGroup
	var refused atomic.Pointer[error]
	for i := range s.stores {
		for k := range senders {
			sending.Go(func() {
				name := fmt.Sprintf("%d-%d", i, k)
				for n := range each {
					for _, room := range inRooms {
						if _, err := s.stores[i].PostMessage(rooms.ChatPost{Room: room, Username: name, Content: fmt.Sprint(n)}); err != nil {
							refused.Store(&err)
						}
					}
				}
			})
		}
	}
	sending.Wait()
	if err := refused.Load(); err != nil {
		s.Fatalf("a message was refused: %v", *err)
	}
	total := each * senders * len(s.stores)
	for _, j := range journals {
		j.awaitMessages(total * len(inRooms))
	}
	s.postLast(journals, total*len(inRooms))
	for _, room := range inRooms {
		first := messages(journals[0].seen(), room)
		next := make(map[string]int) // by sender
		for k, m := range first {
			if k > 0 && m.ID <= first[k-1].ID {
				s.Fatalf("message %d came after %d", m.ID, first[k-1].ID)
			}
			if m.Content != fmt.Sprint(next[m.Username]) {
				s.Fatalf("%s was told as the sender of %s, want %d", m.Username, m.Content, next[m.Username])
			}
			next[m.Username]++
		}
		if len(first) != total {
			s.Fatalf("%d messages were told in room %s, want %d", len(first), room, total)
		}
		for i, j := range journals {
			if told := messages(j.seen(), room); !slices.Equal(told, first) {
				s.Fatalf("instance %d was told other than instance 0:\n%+v\n%+v", i, told, first)
			}
		}
	}
}

func messagesWhole(s *suite) {
	journals := s.watchAll()
	texts := []string{
		"", " ", `"quoted" \ {"id":1,"at":2}`, "<b>&amp;</b>", "Zoë 😀 \u2028\u2029\x00\x1f\x7f",
		`,"instance":`, strings.Repeat("漢", 4000),
	}
	started := time.Now().UnixMilli()
	var want []string
	for _, room := range []string{"a", "room:a", "\x00", "ü :*?[]{}", "12"} {
		for _, text := range texts {
			s.post(len(s.stores)-1, room, text, text)
			want = append(want, fmt.Sprintf("%q %q %q", room, text, text))
		}
	}
	for _, j := range journals {
		var got []string
		for _, c := range j.awaitMessages(len(want)) {
			m := *c.Message
			got = append(got, fmt.Sprintf("%q %q %q", m.Room, m.Username, m.Content))
			if m.ID <= 0 || m.At < started-1000 || m.At > time.Now().UnixMilli()+1000 {
				s.Fatalf("message %d was posted at %d; it is %d", m.ID, m.At, time.Now().UnixMilli())
			}
		}
		if !slices.Equal(got, want) {
			s.Fatalf("was told %.2000q, want %.2000q", got, want)
		}
	}
	for _, room := range []string{"a", "\x00"} {
		if told, kept := messages(journals[0].seen(), room), s.history(0, room); !slices.Equal(kept, told) {
			s.Fatalf("told was\n%+v\nkept is\n%+v", told, kept)
		}
	}
}

func messagesBehindEntries(s *suite) {
	journals := s.watchAll()
	const n = 100
	for k := range n {
		e := entry(0, "s", fmt.Sprintf(`"name %d"`, k), 1)
		e.List = rooms.RoomList("a")
		s.stores[0].Put(e)
		s.post(0, "a", fmt.Sprintf("name %d", k), "hello")
		if k%3 == 0 {
			s.stores[0].Remove(e.EntryKey, rooms.Closed)
		}
	}
	for _, j := range journals[1:] {
		present := "" // the name last put
		for _, c := range j.awaitMessages(n) {
			switch {
			case c.Message == nil && !c.Removed:
				present = string(c.Entry.Data)
			case c.Message != nil && present != `"`+c.Message.Username+`"`:
				s.Fatalf("%q was told when %s had entered last", c.Message.Username, present)
			}
		}
	}
}

// history is what is kept of a room.
func (s *suite) history(i int, room string) []rooms.ChatMessage {
	s.Helper()
	for deadline := time.Now().Add(s.patience); ; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := s.context()
		kept, err := s.stores[i].History(ctx, room)
		cancel()
		if err == nil {
			return kept
		}
		if time.Now().After(deadline) { // one call may time out on a busy machine
			s.Fatalf("the history of %q: %v", room, err)
		}
	}
}

func historyKept(s *suite) {
	journals := s.watchAll()
	const most = 100
	posted := 0
	for room, n := range map[string]int{"few": 3, "many": most, "too many": most + 50} {
		for k := range n {
			s.post(posted%len(s.stores), room, "u", fmt.Sprint(k))
			posted++
		}
	}
	s.postLast(journals, posted)
	for i := range s.stores {
		for _, room := range []string{"few", "many", "too many", "without messages"} {
			told := messages(journals[0].seen(), room)
			told = told[max(0, len(told)-most):]
			if kept := s.history(i, room); !slices.Equal(kept, told) {
				s.Fatalf("of room %q instance %d has kept %d messages\n%+v\nwant %d\n%+v", room, i, len(kept), kept, len(told), told)
			}
		}
	}
}

func signOuts(s *suite) {
	journals := s.watchAll()
	users := []string{"7", "ü \"{}\\\x00", "7", strings.Repeat("long ", 200)}
	want := make([][]rooms.Change, len(journals))
	for n, user := range users {
		from := n % len(s.stores)
		s.stores[from].SignOut(user)
		for i, j := range journals { // one after the other, so that their order is sure
			if i != from {
				want[i] = append(want[i], rooms.Change{SignOut: user})
			}
			s.same("watcher", j.awaitCount(len(want[i])), want[i])
		}
	}
	s.postLast(journals, 0)
	for i, j := range journals {
		s.same("watcher, after all", j.seen()[:len(j.seen())-1], want[i])
	}
}
