package memory

import (
	"container/list"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

// records is what a process alone remembers beyond the moment. It has no lock of
// its own: the store's guards it.
type records struct {
	now       func() time.Time
	last      int64                    // id of a message: they rise over all rooms, forgotten or not
	histories map[string]*list.Element // of *history, by room
	byUse     list.List                // of *history, the latest used last
	size      int                      // of all histories, in bytes
	maxSize   int
	addresses takers // whose histories they are
	nonces    nonces
	seen      map[string]*list.Element // of sighting, by user
	bySight   list.List                // of sighting, the latest noted last
	seenLong  map[string]*list.Element // as seen, of users with an id over adapter.ShortID
	longSight list.List                // of sighting, as bySight
}

type history struct {
	room     string
	messages []rooms.ChatMessage // oldest first
	size     int
	from     rooms.Origin  // of the client who spoke first
	place    *list.Element // among the client's rooms
}

type sighting struct {
	user string
	at   int64
}

func newRecords(now func() time.Time) *records {
	return &records{
		now:       now,
		maxSize:   adapter.MaxHistories,
		histories: make(map[string]*list.Element),
		nonces:    newNonces(),
		seen:      make(map[string]*list.Element),
		seenLong:  make(map[string]*list.Element),
	}
}

// BoundHistories bounds the messages of all rooms by so many bytes instead of 64
// MiB. It is called before the first message.
func (m *Store) BoundHistories(bytes int) { m.records.maxSize = bytes }

// What a room and a message count against the bound: their text, and what
// holds it.
func sizeOfRoom(room string) int { return 2*len(room) + 512 }
func sizeOfSaid(m rooms.ChatMessage) int {
	return len(m.UserID) + len(m.Username) + len(m.Content) + 112
}

// say keeps a message, unless it is there already. Its id is the time, or the
// one after the last.
func (r *records) say(message rooms.ChatPost) (said rooms.ChatMessage, isNew bool) {
	at := r.now().UnixMilli()
	nonce := adapter.NonceKey(message)
	if id := r.nonces.find(nonce, at); id > 0 {
		return rooms.ChatMessage{ID: id}, false
	}
	r.last = max(r.last+1, at)
	r.nonces.add(nonce, r.last, at)
	said = rooms.ChatMessage{Room: message.Room, ID: r.last, UserID: message.UserID, Username: message.Username, Content: message.Content, At: at}
	place := r.histories[message.Room]
	if place == nil {
		place = r.begin(message.Room, message.From)
	}
	r.byUse.MoveToBack(place)
	h := place.Value.(*history)
	r.takerOf(h).rooms.MoveToBack(h.place)
	h.messages = append(h.messages, said)
	r.grow(h, sizeOfSaid(said))
	for len(h.messages) > adapter.MaxHistory || h.messages[0].At < r.oldestKept() {
		r.grow(h, -sizeOfSaid(h.messages[0]))
		h.messages[0] = rooms.ChatMessage{} // what it holds is let go of
		h.messages = h.messages[1:]
	}
	for front := r.byUse.Front(); front != nil && r.expired(front); front = r.byUse.Front() {
		r.forget(front)
	}
	for r.size > r.maxSize {
		r.forget(r.histories[r.largest()])
	}
	return said, true
}

// begin makes a room's history.
func (r *records) begin(room string, from rooms.Origin) *list.Element {
	h := &history{room: room, from: from}
	r.grow(h, sizeOfRoom(room))
	h.place = r.takerOf(h).rooms.PushBack(room)
	r.histories[room] = r.byUse.PushBack(h)
	return r.histories[room]
}

// grow keeps the account.
func (r *records) grow(h *history, bytes int) {
	h.size += bytes
	r.size += bytes
	r.addresses.grow(h.from.Address, bytes).clients.grow(h.from.Client, bytes)
}

// takerOf is the client who answers for a history that is there.
func (r *records) takerOf(h *history) *taker {
	return r.addresses.byKey[h.from.Address].clients.byKey[h.from.Client]
}

// largest is the room that is forgotten first when all take too much. Somebody
// takes something.
func (r *records) largest() string {
	return r.addresses.largest().clients.largest().rooms.Front().Value.(string)
}

func (r *records) oldestKept() int64 { return r.now().Add(-adapter.KeepHistory).UnixMilli() }

// expired reports whether the last message of a room is too old; that of the
// front of byUse is the oldest.
func (r *records) expired(place *list.Element) bool {
	h := place.Value.(*history)
	return h.messages[len(h.messages)-1].At < r.oldestKept()
}

// forget drops a room.
func (r *records) forget(place *list.Element) {
	h := r.byUse.Remove(place).(*history)
	delete(r.histories, h.room)
	r.takerOf(h).rooms.Remove(h.place)
	r.grow(h, -h.size)
}

// history is the messages of a room that are not too old yet.
func (r *records) history(room string) []rooms.ChatMessage {
	place := r.histories[room]
	if place == nil {
		return nil
	}
	return adapter.NotBefore(place.Value.(*history).messages, r.oldestKept())
}

// touch notes when a user was active. What is in the future is now.
func (r *records) touch(user string, at int64) {
	if len(user) > adapter.MaxSeenID {
		return
	}
	at = min(at, r.now().UnixMilli())
	seen, order := r.seenOf(user)
	if place := seen[user]; place != nil {
		place.Value = sighting{user, max(place.Value.(sighting).at, at)}
		order.MoveToBack(place)
	} else {
		seen[user] = order.PushBack(sighting{user, at})
	}
	r.trimSeen(r.seen, &r.bySight, adapter.MaxSeen)
	r.trimSeen(r.seenLong, &r.longSight, adapter.MaxSeenLong)
}

// seenOf is where a user is remembered: those with a long id apart, so that a
// bound by number is one by bytes.
func (r *records) seenOf(user string) (map[string]*list.Element, *list.List) {
	if len(user) > adapter.ShortID {
		return r.seenLong, &r.longSight
	}
	return r.seen, &r.bySight
}

// trimSeen forgets those who are too many or too old.
func (r *records) trimSeen(seen map[string]*list.Element, order *list.List, most int) {
	for front := order.Front(); front != nil; front = order.Front() {
		if len(seen) <= most && front.Value.(sighting).at >= r.oldestSeen() {
			return
		}
		delete(seen, order.Remove(front).(sighting).user)
	}
}

func (r *records) oldestSeen() int64 { return r.now().Add(-adapter.KeepSeen).UnixMilli() }

// lastActive is when a user was active last, 0 if that is not remembered.
func (r *records) lastActive(user string) int64 {
	seen, _ := r.seenOf(user)
	place := seen[user]
	if place == nil || place.Value.(sighting).at < r.oldestSeen() {
		return 0
	}
	return place.Value.(sighting).at
}
