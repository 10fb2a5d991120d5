package memory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

// A clock for tests.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newTestRecords() (*records, *clock) {
	c := &clock{time.UnixMilli(1_753_000_000_000)}
	return newRecords(c.now), c
}

func sayTo(r *records, room, content string) rooms.ChatMessage {
	said, _ := r.post(rooms.ChatPost{Room: room, Username: "u", Content: content})
	return said
}

// accountedMemory compares the account with what there is.
func accountedMemory(t *testing.T, r *records) {
	t.Helper()
	all := 0
	for _, room := range r.histories.Keys() {
		h, _ := r.histories.Peek(room)
		size := sizeOfRoom(room)
		for _, m := range h.messages {
			size += sizeOfMessage(m)
		}
		if h.size != size {
			t.Errorf("room %q takes %d bytes, accounted are %d", room, size, h.size)
		}
		all += size
	}
	if r.size != all {
		t.Errorf("%d rooms take %d bytes, accounted are %d", r.histories.Len(), all, r.size)
	}
}

func TestMemoryHistoriesAreBounded(t *testing.T) {
	const maxHistories = 4 << 20
	r, c := newTestRecords()
	r.maxSize = maxHistories
	sayTo(r, "used again", "x")
	sayTo(r, "first", "x")
	long := strings.Repeat("x", 900)
	for n := range 6000 { // 6 MB
		c.at = c.at.Add(time.Second)
		sayTo(r, fmt.Sprint("room ", n/100), long)
		if n%1000 == 0 {
			sayTo(r, "used again", "x")
		}
		if r.size > maxHistories {
			t.Fatalf("%d bytes are kept", r.size)
		}
	}
	accountedMemory(t, r)
	if r.size < maxHistories-100*1100 {
		t.Errorf("only %d bytes are kept", r.size)
	}
	for room, want := range map[string]int{"first": 0, "room 0": 0, "room 59": 100, "used again": 7} {
		if kept := r.history(room); len(kept) != want {
			t.Errorf("of room %q %d messages are kept, want %d", room, len(kept), want)
		}
	}
	// More than fits at all is forgotten with everything else, and no more.
	sayTo(r, "huge", strings.Repeat("x", maxHistories+1))
	accountedMemory(t, r)
	if r.size != 0 || len(r.history("huge")) != 0 {
		t.Errorf("%d bytes are kept", r.size)
	}
}

// Ids rise in a room that was forgotten in between, in a storm, and when the
// clock is set back.
func TestMemoryIDsRise(t *testing.T) {
	r, c := newTestRecords()
	last := int64(0)
	for n := range 500 {
		switch {
		case n%100 == 99:
			r.histories.Remove("a")
		case n == 250:
			c.at = c.at.Add(-time.Hour)
		}
		said := sayTo(r, "a", "x")
		if said.ID <= last || said.At != c.at.UnixMilli() {
			t.Fatalf("message %d of %d came after %d, at %d", said.ID, said.At, last, c.at.UnixMilli())
		}
		last = said.ID
	}
	accountedMemory(t, r)
}

func TestMemoryHistoriesExpire(t *testing.T) {
	r, c := newTestRecords()
	sayTo(r, "old", "1")
	sayTo(r, "used", "1")
	c.at = c.at.Add(adapter.KeepHistory - time.Hour)
	sayTo(r, "used", "2")
	if n, m := len(r.history("old")), len(r.history("used")); n != 1 || m != 2 {
		t.Errorf("within 7 days %d and %d messages are kept", n, m)
	}
	c.at = c.at.Add(2 * time.Hour)
	if n, m := len(r.history("old")), len(r.history("used")); n != 0 || m != 1 {
		t.Errorf("after 7 days %d and %d messages are kept", n, m)
	}
	sayTo(r, "used", "3")
	if used, _ := r.histories.Peek("used"); r.histories.Contains("old") || len(used.messages) != 2 {
		t.Error("what is too old is kept in memory")
	}
	accountedMemory(t, r)
}

func TestMemoryActivityIsBounded(t *testing.T) {
	r, c := newTestRecords()
	r.touch("again", c.at.UnixMilli())
	for n := range adapter.MaxSeen + 1000 {
		c.at = c.at.Add(time.Millisecond)
		r.touch(fmt.Sprint(n), c.at.UnixMilli())
		if n == 10 {
			r.touch("again", c.at.UnixMilli())
		}
	}
	if r.active.Len() != adapter.MaxSeen {
		t.Errorf("%d are remembered, want %d", r.active.Len(), adapter.MaxSeen)
	}
	if r.lastActive("0") != 0 || r.lastActive("2000") == 0 {
		t.Error("it is not the oldest who is forgotten")
	}
	long := strings.Repeat("x", adapter.MaxSeenID-10)
	for n := range adapter.MaxSeenLong + 1000 {
		r.touch(fmt.Sprint(long, n), c.at.UnixMilli())
	}
	if r.activeLong.Len() != adapter.MaxSeenLong || r.active.Len() != adapter.MaxSeen {
		t.Errorf("%d with a long id are remembered, %d with a short one", r.activeLong.Len(), r.active.Len())
	}
	if r.lastActive(long+"0") != 0 || r.lastActive(long+"2000") == 0 {
		t.Error("it is not the oldest with a long id who is forgotten")
	}
	r.touch(strings.Repeat("x", adapter.MaxSeenID+1), c.at.UnixMilli())
	if r.lastActive(strings.Repeat("x", adapter.MaxSeenID+1)) != 0 {
		t.Error("an id of any length is remembered")
	}
	c.at = c.at.Add(adapter.KeepSeen)
	if at := r.lastActive(fmt.Sprint(adapter.MaxSeen)); at != 0 {
		t.Errorf("after 30 days it is %d", at)
	}
	c.at = c.at.Add(time.Second)
	r.touch("new", c.at.UnixMilli())
	if r.active.Len() != 1 {
		t.Errorf("after 30 days %d are remembered", r.active.Len())
	}
}

// The order of what is told is that of the ids, whoever speaks at a time.
func TestMemoryTellsInOrder(t *testing.T) {
	m := New()
	last := int64(0)
	m.Watch(func(some []rooms.Change) {
		for _, c := range some {
			if c.Message.ID <= last {
				t.Errorf("message %d came after %d", c.Message.ID, last)
			}
			last = c.Message.ID
		}
	})
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 1000 {
				_, _ = m.PostMessage(rooms.ChatPost{Room: "a", Username: "u", Content: "x"}) // never fails
			}
		}()
	}
	for range 4 {
		<-done
	}
}
