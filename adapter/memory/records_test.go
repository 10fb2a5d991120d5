package memory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

// newTestRecords is records whose clock says at.
func newTestRecords() (r *records, at *time.Time) {
	now := time.UnixMilli(1_753_000_000_000)
	return newRecords(func() time.Time { return now }), &now
}

func sayTo(r *records, room, content string) rooms.ChatMessage {
	said, _ := r.post(rooms.ChatPost{Room: room, Username: "u", Content: content})
	return said
}

// accounted compares the account with what there is.
func accounted(t *testing.T, r *records) {
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

func TestHistoriesAreBounded(t *testing.T) {
	const maxHistories = 4 << 20
	r, at := newTestRecords()
	r.maxSize = maxHistories
	sayTo(r, "used again", "x")
	sayTo(r, "first", "x")
	long := strings.Repeat("x", 900)
	for n := range 6000 { // 6 MB
		*at = at.Add(time.Second)
		sayTo(r, fmt.Sprint("room ", n/100), long)
		if n%1000 == 0 {
			sayTo(r, "used again", "x")
		}
		if r.size > maxHistories {
			t.Fatalf("%d bytes are kept", r.size)
		}
	}
	accounted(t, r)
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
	accounted(t, r)
	if r.size != 0 || len(r.history("huge")) != 0 {
		t.Errorf("%d bytes are kept", r.size)
	}
}

// Ids rise in a room that was forgotten in between, in a storm, and when the
// clock is set back.
func TestIDsRise(t *testing.T) {
	r, at := newTestRecords()
	last := int64(0)
	for n := range 500 {
		switch {
		case n%100 == 99:
			r.histories.Remove("a")
		case n == 250:
			*at = at.Add(-time.Hour)
		}
		said := sayTo(r, "a", "x")
		if said.ID <= last || said.At != at.UnixMilli() {
			t.Fatalf("message %d of %d came after %d, at %d", said.ID, said.At, last, at.UnixMilli())
		}
		last = said.ID
	}
	accounted(t, r)
}

func TestHistoriesExpire(t *testing.T) {
	r, at := newTestRecords()
	sayTo(r, "old", "1")
	sayTo(r, "used", "1")
	*at = at.Add(adapter.KeepHistory - time.Hour)
	sayTo(r, "used", "2")
	if n, m := len(r.history("old")), len(r.history("used")); n != 1 || m != 2 {
		t.Errorf("within 7 days %d and %d messages are kept", n, m)
	}
	*at = at.Add(2 * time.Hour)
	if n, m := len(r.history("old")), len(r.history("used")); n != 0 || m != 1 {
		t.Errorf("after 7 days %d and %d messages are kept", n, m)
	}
	sayTo(r, "used", "3")
	if used, _ := r.histories.Peek("used"); r.histories.Contains("old") || len(used.messages) != 2 {
		t.Error("what is too old is kept in memory")
	}
	accounted(t, r)
}

func TestActivityIsBounded(t *testing.T) {
	t.Parallel()
	r, at := newTestRecords()
	r.touch("again", at.UnixMilli())
	for n := range adapter.MaxSeen + 1000 {
		*at = at.Add(time.Millisecond)
		r.touch(fmt.Sprint(n), at.UnixMilli())
		if n == 10 {
			r.touch("again", at.UnixMilli())
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
		r.touch(fmt.Sprint(long, n), at.UnixMilli())
	}
	if r.activeLong.Len() != adapter.MaxSeenLong || r.active.Len() != adapter.MaxSeen {
		t.Errorf("%d with a long id are remembered, %d with a short one", r.activeLong.Len(), r.active.Len())
	}
	if r.lastActive(long+"0") != 0 || r.lastActive(long+"2000") == 0 {
		t.Error("it is not the oldest with a long id who is forgotten")
	}
	r.touch(strings.Repeat("x", adapter.MaxSeenID+1), at.UnixMilli())
	if r.lastActive(strings.Repeat("x", adapter.MaxSeenID+1)) != 0 {
		t.Error("an id of any length is remembered")
	}
	*at = at.Add(adapter.KeepSeen)
	if at := r.lastActive(fmt.Sprint(adapter.MaxSeen)); at != 0 {
		t.Errorf("after 30 days it is %d", at)
	}
	*at = at.Add(time.Second)
	r.touch("new", at.UnixMilli())
	if r.active.Len() != 1 {
		t.Errorf("after 30 days %d are remembered", r.active.Len())
	}
}
