package adaptertest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall/rooms"
)

// send says a message and returns its id. While too much is on its way it waits.
func (s *suite) send(i int, m rooms.ChatPost) int64 {
	s.Helper()
	return s.awaitID(s.hand(i, m))
}

// hand says a message and does not wait for its id.
func (s *suite) hand(i int, m rooms.ChatPost) <-chan int64 {
	s.Helper()
	deadline := time.Now().Add(s.patience)
	for {
		kept, err := s.stores[i].PostMessage(m)
		var refusal *rooms.Refusal
		switch {
		case err == nil:
			return kept
		case !errors.As(err, &refusal) || refusal.Code != "unavailable" || time.Now().After(deadline):
			s.Fatalf("a message was refused: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *suite) awaitID(kept <-chan int64) int64 {
	s.Helper()
	select {
	case id := <-kept:
		return id
	case <-time.After(s.patience):
		s.Fatalf("the id of a message did not come")
		return 0
	}
}

func messagesOnce(s *suite) {
	journals := s.watchAll()
	first := rooms.ChatPost{Room: "a", UserID: "7", Username: "ann", Content: "hello", Nonce: "n"}
	id := s.send(0, first)
	again := first
	again.Content, again.Username = "hello again", "ann, renamed"
	for i := range s.stores {
		if got := s.send(i, again); got != id {
			s.Fatalf("sent again at instance %d the message has id %d, want %d", i, got, id)
		}
	}
	// All others are messages of their own: no field runs into the next.
	told := 1
	ids := map[int64]bool{id: true}
	for n, change := range []func(*rooms.ChatPost){
		func(m *rooms.ChatPost) { m.Nonce = "" }, func(m *rooms.ChatPost) { m.Nonce = "" }, func(m *rooms.ChatPost) { m.Nonce = "n2" },
		func(m *rooms.ChatPost) { m.Room = "b" }, func(m *rooms.ChatPost) { m.UserID = "8" }, func(m *rooms.ChatPost) { m.UserID = "" },
		func(m *rooms.ChatPost) { m.UserID, m.Username = "", "7" }, func(m *rooms.ChatPost) { m.Nonce = strings.Repeat("漢\x00.", 20) },
	} {
		other := first
		change(&other)
		got := s.send(n%len(s.stores), other)
		if ids[got] {
			s.Fatalf("message %d got the id of another: %+v", n, other)
		}
		ids[got] = true
		told++
	}
	// More than a history holds does not make it forgotten.
	for n := range 110 {
		s.send(0, rooms.ChatPost{Room: "a", Username: "u", Content: fmt.Sprint(n), Nonce: fmt.Sprint("other ", n)})
		told++
	}
	last := len(s.stores) - 1
	if got := s.send(last, again); got != id {
		s.Fatalf("after 110 others the message has id %d, want %d", got, id)
	}
	s.postLast(journals, told)
	for _, j := range journals {
		if n := countMessages(j.seen()); n != told+1 {
			s.Fatalf("%d messages were told, want %d", n, told+1)
		}
	}
	if m := messages(journals[last].seen(), "a")[0]; m.UserID != "7" || m.ID != id || m.Content != "hello" {
		s.Fatalf("told was %+v", m)
	}
	for _, m := range s.history(last, "b") {
		if m.UserID != "7" {
			s.Fatalf("kept is %+v", m)
		}
	}
}

// historiesFair has forty clients of one address, and then one of another, send
// more than is kept of all rooms. Rooms that they were never in stay whole, also
// those of another client at the first address.
func historiesFair(s *suite) {
	for _, store := range s.stores { // a store reads for its watcher
		defer store.Watch(func([]rooms.Change) {})()
	}
	calm := []rooms.ChatPost{
		{Room: "of another address", From: rooms.Origin{Address: "quiet", Client: "c"}},
		{Room: "of the same address", From: rooms.Origin{Address: "loud", Client: "quiet"}},
		{Room: "of a user", From: rooms.Origin{Address: rooms.UserRoom("7")}},
	}
	for _, m := range calm {
		for n := range 20 {
			m.Username, m.Content = "u", fmt.Sprint(n)
			s.send(n%len(s.stores), m)
		}
	}
	long := strings.Repeat("x", MaxHistories()/840)
	var last <-chan int64
	for n := range 1100 {
		from := rooms.Origin{Address: "loud", Client: fmt.Sprint(n % 40)}
		if n >= 980 {
			from = rooms.Origin{Address: "late", Client: "c"}
		}
		last = s.hand(0, rooms.ChatPost{Room: fmt.Sprintf("room %d of %s", n/200, from), Username: "u", Content: long, From: from})
		if n%100 == 99 { // a busy machine takes its time for each part
			s.awaitID(last)
		}
	}
	for i := range s.stores {
		for _, m := range calm {
			if n := len(s.history(i, m.Room)); n != 20 {
				s.Fatalf("of the room %s %d messages are kept, want 20", m.Room, n)
			}
		}
	}
	if n := len(s.history(0, "room 5 of {late c}")); n != 100 {
		s.Fatalf("of the room in use %d messages are kept, want 100", n)
	}
	kept := 0
	for n := range 5 {
		for client := range 40 {
			kept += len(s.history(0, fmt.Sprintf("room %d of {loud %d}", n, client)))
		}
	}
	if kept > 840 || kept < 500 {
		s.Fatalf("of the loud address %d messages are kept", kept)
	}
}
