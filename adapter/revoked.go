package adapter

import (
	"container/list"
	"sync"
	"time"
)

const (
	// KeepRevoked is how long a revocation is kept, and MaxRevoked how many
	// are: beyond it the oldest is forgotten.
	KeepRevoked = 30 * 24 * time.Hour
	MaxRevoked  = 100_000
)

// Revocations are the users whose earlier tokens are refused, and until when
// those were issued. The zero value has none. It is safe for concurrent use.
type Revocations struct {
	// mu guards the fields below.
	mu     sync.Mutex
	byUser map[string]*list.Element
	order  list.List // of revocation, the one noted longest ago first
}

type Revocation struct {
	User string
	At   int64 // epoch ms
}

// Note adds one at the time now, and reports whether it was news: of several of
// one user the latest counts.
func (r *Revocations) Note(user string, at int64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := now.Add(-KeepRevoked).UnixMilli()
	for first := r.order.Front(); first != nil; first = r.order.Front() {
		if one := first.Value.(Revocation); one.At >= oldest && r.order.Len() < MaxRevoked {
			break
		}
		r.remove(first)
	}
	known := r.byUser[user]
	if at < oldest || known != nil && known.Value.(Revocation).At >= at {
		return false
	}
	if known != nil {
		r.remove(known)
	}
	if r.byUser == nil {
		r.byUser = make(map[string]*list.Element)
	}
	r.byUser[user] = r.order.PushBack(Revocation{user, at})
	return true
}

// remove forgets one. mu is held.
func (r *Revocations) remove(e *list.Element) {
	r.order.Remove(e)
	delete(r.byUser, e.Value.(Revocation).User)
}

// At is when a user's tokens were revoked (epoch ms), 0 for never.
func (r *Revocations) At(user string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byUser[user]; e != nil {
		return e.Value.(Revocation).At
	}
	return 0
}

// All is every one, the oldest first.
func (r *Revocations) All() []Revocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Revocation, 0, r.order.Len())
	for e := r.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(Revocation))
	}
	return out
}

// AsTime is a time in epoch ms, or the zero time for 0.
func AsTime(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(at)
}
