package adapter

import (
	"container/list"
	"context"
	"sync"
	"time"

	"rollcall/rooms"
)

// What is remembered, and its bounds: parts of the contract of rooms.Store.
const (
	maxHistory   = 100                // messages of one room
	keepHistory  = 7 * 24 * time.Hour // each
	maxHistories = 64 << 20           // bytes of all rooms
	maxSeen      = 1_000_000          // users
	keepSeen     = 30 * 24 * time.Hour
)

// records is what a process alone remembers beyond the moment.
type records struct {
	now func() time.Time

	// mu guards the fields below.
	mu        sync.Mutex
	histories map[string]*list.Element // of *history, by room
	byUse     list.List                // of *history, the latest used last
	size      int                      // of all histories, in bytes
	seen      map[string]*list.Element // of sighting, by user
	bySight   list.List                // of sighting, the latest noted last
}

type history struct {
	room     string
	messages []rooms.Said // oldest first
	size     int
	lastID   int64
}

type sighting struct {
	user string
	at   int64
}

func newRecords(now func() time.Time) *records {
	return &records{
		now:       now,
		histories: make(map[string]*list.Element),
		seen:      make(map[string]*list.Element),
	}
}

// sizeOf is what a message counts against the bound.
func sizeOf(m rooms.Said) int { return len(m.Username) + len(m.Content) + 64 }

// say keeps a message. Its id is the time, or the one after the last: so ids
// rise even when the room was forgotten in between.
func (r *records) say(room, username, content string) rooms.Said {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.now().UnixMilli()
	place := r.histories[room]
	if place == nil {
		place = r.byUse.PushBack(&history{room: room})
		r.histories[room] = place
	}
	r.byUse.MoveToBack(place)
	h := place.Value.(*history)
	h.lastID = max(h.lastID+1, at)
	said := rooms.Said{Room: room, ID: h.lastID, Username: username, Content: content, At: at}
	h.messages = append(h.messages, said)
	h.size += sizeOf(said)
	r.size += sizeOf(said)
	for len(h.messages) > maxHistory {
		r.dropOldest(h)
	}
	for r.size > maxHistories || r.expired(r.byUse.Front()) {
		r.forget(r.byUse.Front())
	}
	return said
}

func (r *records) dropOldest(h *history) {
	h.size -= sizeOf(h.messages[0])
	r.size -= sizeOf(h.messages[0])
	h.messages[0] = rooms.Said{}
	h.messages = h.messages[1:]
}

// expired reports whether the last message is too old. The front is the oldest.
func (r *records) expired(place *list.Element) bool {
	h := place.Value.(*history)
	return h.messages[len(h.messages)-1].At < r.now().Add(-keepHistory).UnixMilli()
}

func (r *records) forget(place *list.Element) {
	h := r.byUse.Remove(place).(*history)
	delete(r.histories, h.room)
	r.size -= h.size
}

// History implements rooms.Records.
func (r *records) History(_ context.Context, room string) ([]rooms.Said, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	place := r.histories[room]
	if place == nil {
		return nil, nil
	}
	return fresh(place.Value.(*history).messages, r.now()), nil
}

// fresh is the messages that are not too old yet.
func fresh(all []rooms.Said, now time.Time) []rooms.Said {
	oldest := now.Add(-keepHistory).UnixMilli()
	for len(all) > 0 && all[0].At < oldest {
		all = all[1:]
	}
	return append([]rooms.Said(nil), all...)
}

// touch notes when a user was active.
func (r *records) touch(user string, at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if place := r.seen[user]; place != nil {
		s := place.Value.(sighting)
		place.Value = sighting{user, max(s.at, at)}
		r.bySight.MoveToBack(place)
	} else {
		r.seen[user] = r.bySight.PushBack(sighting{user, at})
	}
	oldest := r.now().Add(-keepSeen).UnixMilli()
	for front := r.bySight.Front(); front != nil && (len(r.seen) > maxSeen || front.Value.(sighting).at < oldest); front = r.bySight.Front() {
		delete(r.seen, r.bySight.Remove(front).(sighting).user)
	}
}

// LastActive implements rooms.Records.
func (r *records) LastActive(_ context.Context, user string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	place := r.seen[user]
	if place == nil {
		return 0, nil
	}
	at := place.Value.(sighting).at
	if at < r.now().Add(-keepSeen).UnixMilli() {
		return 0, nil
	}
	return at, nil
}
