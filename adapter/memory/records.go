package memory

import (
	"container/heap"
	"math"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"rollcall/adapter"
	"rollcall/rooms"
)

// records is the chat messages and last activity that the store remembers. Store.mu
// guards it.
type records struct {
	now       func() time.Time
	last      int64                             // id of a message: they rise over all rooms, forgotten or not
	histories *simplelru.LRU[string, *history]  // by room
	size      int                               // of all histories, in bytes
	maxSize   int                               // of size
	addresses shares                            // of size
	nonces    *simplelru.LRU[string, keptNonce] // by nonce, the one added last at the end
	// active is when users were active (epoch ms), activeLong of users with an id
	// over adapter.ShortID: so that the bounds by number are bounds by bytes.
	active, activeLong *simplelru.LRU[string, int64]
}

type history struct {
	messages []rooms.ChatMessage // oldest first
	size     int                 // in bytes
	from     rooms.Origin        // of the client that posted first
}

// A keptNonce is the message that has a nonce.
type keptNonce struct{ id, at int64 }

func newRecords(now func() time.Time) *records {
	r := &records{
		now:        now,
		maxSize:    adapter.MaxHistories,
		nonces:     adapter.NewLRU[string, keptNonce](adapter.MaxNonces, nil),
		active:     adapter.NewLRU[string, int64](adapter.MaxSeen, nil),
		activeLong: adapter.NewLRU[string, int64](adapter.MaxSeenLong, nil),
	}
	r.histories = adapter.NewLRU(math.MaxInt, r.release) // their bytes are bounded
	return r
}

// BoundHistories bounds the messages of all rooms by so many bytes instead of 64
// MiB. It is called before the first message.
func (s *Store) BoundHistories(bytes int) { s.records.maxSize = bytes }

// What a room and a message count against the bound: their text, and the memory
// around it.
func sizeOfRoom(room string) int { return 2*len(room) + 512 }
func sizeOfMessage(m rooms.ChatMessage) int {
	return len(m.UserID) + len(m.Username) + len(m.Content) + 112
}

// post keeps a message, unless it is there already. Its id is the time, or the
// one after the last.
func (r *records) post(post rooms.ChatPost) (message rooms.ChatMessage, isNew bool) {
	at := r.now().UnixMilli()
	isOld := func(n keptNonce) bool { return n.at <= at-adapter.KeepNonce.Milliseconds() }
	nonce := adapter.NonceKey(post)
	if known, ok := r.nonces.Peek(nonce); ok && !isOld(known) {
		return rooms.ChatMessage{ID: known.id}, false
	}
	r.last = max(r.last+1, at)
	if nonce != "" {
		r.nonces.Add(nonce, keptNonce{r.last, at})
		adapter.DropOldest(r.nonces, isOld)
	}
	message = rooms.ChatMessage{Room: post.Room, ID: r.last, UserID: post.UserID, Username: post.Username, Content: post.Content, At: at}
	r.keep(message, post.From)
	return message, true
}

// keep adds a message to its room's history, and forgets what is too old or too
// much.
func (r *records) keep(message rooms.ChatMessage, from rooms.Origin) {
	h, ok := r.histories.Get(message.Room)
	if !ok {
		h = &history{from: from}
		r.histories.Add(message.Room, h)
		r.grow(h, sizeOfRoom(message.Room))
	}
	r.shareOf(h).use(message.Room)
	h.messages = append(h.messages, message)
	r.grow(h, sizeOfMessage(message))
	oldest := r.oldestMessage()
	for len(h.messages) > adapter.MaxHistory || h.messages[0].At < oldest {
		r.grow(h, -sizeOfMessage(h.messages[0]))
		h.messages[0] = rooms.ChatMessage{} // releases its text
		h.messages = h.messages[1:]
	}
	adapter.DropOldest(r.histories, func(h *history) bool { return h.messages[len(h.messages)-1].At < oldest })
	for r.size > r.maxSize {
		room, _, _ := r.addresses.largest().clients.largest().rooms.GetOldest()
		r.histories.Remove(room)
	}
}

// shareOf is the share of the client that began a history that is there.
func (r *records) shareOf(h *history) *share {
	return r.addresses.byKey[h.from.Address].clients.byKey[h.from.Client]
}

// grow counts bytes that a history takes more, or less.
func (r *records) grow(h *history, bytes int) {
	h.size += bytes
	r.size += bytes
	r.addresses.grow(h.from.Address, bytes).clients.grow(h.from.Client, bytes)
}

// release takes a history that is forgotten out of the account.
func (r *records) release(room string, h *history) {
	r.shareOf(h).rooms.Remove(room)
	r.grow(h, -h.size)
}

func (r *records) oldestMessage() int64 { return r.now().Add(-adapter.KeepHistory).UnixMilli() }

// history is the messages of a room that are not too old yet.
func (r *records) history(room string) []rooms.ChatMessage {
	h, ok := r.histories.Peek(room)
	if !ok {
		return nil
	}
	return adapter.NotBefore(h.messages, r.oldestMessage())
}

// touch notes when a user was active. A time in the future counts as now.
func (r *records) touch(user string, at int64) {
	if len(user) > adapter.MaxSeenID {
		return
	}
	active := r.activeOf(user)
	known, _ := active.Peek(user)
	active.Add(user, max(known, min(at, r.now().UnixMilli())))
	isOld := func(at int64) bool { return at < r.oldestActive() }
	adapter.DropOldest(r.active, isOld)
	adapter.DropOldest(r.activeLong, isOld)
}

// activeOf is where it is remembered when a user was active.
func (r *records) activeOf(user string) *simplelru.LRU[string, int64] {
	if len(user) > adapter.ShortID {
		return r.activeLong
	}
	return r.active
}

func (r *records) oldestActive() int64 { return r.now().Add(-adapter.KeepSeen).UnixMilli() }

// lastActive is when a user was active last, 0 if that is not remembered.
func (r *records) lastActive(user string) int64 {
	at, _ := r.activeOf(user).Peek(user)
	if at < r.oldestActive() {
		return 0
	}
	return at
}

// shares has the bytes of the histories that each address, or each client of one,
// began: the largest share first. The zero value has none.
type shares struct {
	byKey map[string]*share
	order bySize
}

// A share is that of one address or client. It exists as long as it has a size.
type share struct {
	key     string
	size    int                              // in bytes
	at      int                              // its index in the order
	clients shares                           // of an address
	rooms   *simplelru.LRU[string, struct{}] // of a client
}

// use notes that a room of a client is used.
func (s *share) use(room string) {
	if s.rooms == nil {
		s.rooms = adapter.NewLRU[string, struct{}](math.MaxInt, nil)
	}
	s.rooms.Add(room, struct{}{})
}

// grow adds bytes to a share, and returns it.
func (o *shares) grow(key string, bytes int) *share {
	one := o.byKey[key]
	if one == nil {
		if o.byKey == nil {
			o.byKey = make(map[string]*share)
		}
		one = &share{key: key}
		o.byKey[key] = one
		heap.Push(&o.order, one)
	}
	one.size += bytes
	if one.size > 0 {
		heap.Fix(&o.order, one.at)
	} else {
		heap.Remove(&o.order, one.at)
		delete(o.byKey, key)
	}
	return one
}

// largest is the largest share. There is one.
func (o *shares) largest() *share { return o.order[0] }

// bySize is a heap.
type bySize []*share

func (h bySize) Len() int           { return len(h) }
func (h bySize) Less(i, j int) bool { return h[i].size > h[j].size }

func (h bySize) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *bySize) Push(x any) {
	one := x.(*share)
	one.at = len(*h)
	*h = append(*h, one)
}

// Pop implements heap.Interface.
func (h *bySize) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return one
}
