package memory

import (
	"container/heap"
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"rollcall/adapter"
)

// shares are what the histories take that addresses, or the clients of one,
// began: the largest first. The zero value has none.
type shares struct {
	byKey map[string]*share
	order bySize
}

// A share is that of an address or a client. It exists as long as it has a size.
type share struct {
	key     string
	size    int                              // in bytes
	at      int                              // its place in the order
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
