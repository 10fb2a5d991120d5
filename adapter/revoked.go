package adapter

import (
	"container/list"
	"sync"
	"time"
)

const (
	// keepRevoked is how long a revocation is kept, and maxRevoked how many
	// are: beyond it the oldest is forgotten.
	keepRevoked = 30 * 24 * time.Hour
	maxRevoked  = 100_000
)

// revocations are the users whose earlier tokens are refused, and until when
// those were issued. The zero value has none. It is safe for concurrent use.
type revocations struct {
	// mu guards the fields below.
	mu     sync.Mutex
	byUser map[string]*list.Element
	order  list.List // of revocation, the one noted longest ago first
}

type revocation struct {
	user string
	at   int64 // epoch ms
}

// note adds one at the time now, and reports whether it was news: of several of
// one user the latest counts.
func (r *revocations) note(user string, at int64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := now.Add(-keepRevoked).UnixMilli()
	for first := r.order.Front(); first != nil; first = r.order.Front() {
		if one := first.Value.(revocation); one.at >= oldest && r.order.Len() < maxRevoked {
			break
		}
		r.remove(first)
	}
	known := r.byUser[user]
	if at < oldest || known != nil && known.Value.(revocation).at >= at {
		return false
	}
	if known != nil {
		r.remove(known)
	}
	if r.byUser == nil {
		r.byUser = make(map[string]*list.Element)
	}
	r.byUser[user] = r.order.PushBack(revocation{user, at})
	return true
}

// remove forgets one. mu is held.
func (r *revocations) remove(e *list.Element) {
	r.order.Remove(e)
	delete(r.byUser, e.Value.(revocation).user)
}

// at is when a user's tokens were revoked (epoch ms), 0 for never.
func (r *revocations) at(user string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byUser[user]; e != nil {
		return e.Value.(revocation).at
	}
	return 0
}

// all is every one, the oldest first.
func (r *revocations) all() []revocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]revocation, 0, r.order.Len())
	for e := r.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(revocation))
	}
	return out
}

// asTime is a time in epoch ms, or the zero time for 0.
func asTime(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(at)
}

// Revoke refuses the tokens of a user that were issued until then, for at least
// 24 hours. It is forgotten with the process.
func (m *Memory) Revoke(user string, at time.Time) { m.revoked.note(user, at.UnixMilli(), time.Now()) }

// RevokedAt is when a user's tokens were revoked last, the zero time for never.
func (m *Memory) RevokedAt(user string) time.Time { return asTime(m.revoked.at(user)) }
