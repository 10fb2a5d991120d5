package memory

import (
	"container/heap"
	"container/list"

	"rollcall/adapter"
)

// takers are addresses, or the clients of one, by what the histories that they
// began take: the largest first. The zero value has none.
type takers struct {
	byKey map[string]*taker
	order byTaking
}

// A taker is an address or a client. It exists as long as it takes anything.
type taker struct {
	key     string
	size    int
	at      int       // its place in the order
	clients takers    // of an address
	rooms   list.List // of a client: names, the one used last at the end
}

// grow adds to what a taker takes, and returns it.
func (o *takers) grow(key string, bytes int) *taker {
	one := o.byKey[key]
	if one == nil {
		if o.byKey == nil {
			o.byKey = make(map[string]*taker)
		}
		one = &taker{key: key}
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

// largest is who takes most. There is one.
func (o *takers) largest() *taker { return o.order[0] }

// byTaking is a heap.
type byTaking []*taker

func (h byTaking) Len() int           { return len(h) }
func (h byTaking) Less(i, j int) bool { return h[i].size > h[j].size }

func (h byTaking) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *byTaking) Push(x any) {
	one := x.(*taker)
	one.at = len(*h)
	*h = append(*h, one)
}

// Pop implements heap.Interface.
func (h *byTaking) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return one
}

// nonces are the messages that may be sent again, the oldest first.
type nonces struct {
	byNonce map[string]*list.Element // of nonce
	order   list.List
}

type nonce struct {
	text   string
	id, at int64
}

func newNonces() nonces { return nonces{byNonce: make(map[string]*list.Element)} }

// find is the id of the message with a nonce, 0 if there is none.
func (n *nonces) find(text string, now int64) int64 {
	if place := n.byNonce[text]; place != nil && place.Value.(nonce).at > now-adapter.KeepNonce.Milliseconds() {
		return place.Value.(nonce).id
	}
	return 0
}

// add notes a nonce, unless it is "", and forgets old ones.
func (n *nonces) add(text string, id, now int64) {
	if text == "" {
		return
	}
	if place := n.byNonce[text]; place != nil {
		n.order.Remove(place)
	}
	n.byNonce[text] = n.order.PushBack(nonce{text, id, now})
	for front := n.order.Front(); len(n.byNonce) > adapter.MaxNonces || front.Value.(nonce).at <= now-adapter.KeepNonce.Milliseconds(); front = n.order.Front() {
		delete(n.byNonce, n.order.Remove(front).(nonce).text)
	}
}
