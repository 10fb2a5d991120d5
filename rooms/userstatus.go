package rooms

import (
	"cmp"
	"slices"
	"time"
)

// A userStatus is what the entries of one user say about the user's status. The
// latest choice counts, even if the socket where it was made is gone since; among the
// sockets that know of it, one that is active makes the user active.
type userStatus struct {
	chosen Status
	at     int64 // of the choice (epoch milliseconds); 0: never
	// visibleAt is when the user last became visible after hiding; 0: never.
	visibleAt int64
	// How many sockets that know of the choice have each status.
	active, away, hidden int
}

func (us *userStatus) add(e Entry) {
	us.visibleAt = max(us.visibleAt, e.VisibleAt)
	if e.StatusAt > us.at {
		*us = userStatus{chosen: cmp.Or(e.Status, Active), at: e.StatusAt, visibleAt: us.visibleAt}
	}
	us.count(e, 1)
}

func (us *userStatus) remove(e Entry) { us.count(e, -1) }

func (us *userStatus) count(e Entry, n int) {
	if e.StatusAt != us.at {
		return
	}
	switch e.Status {
	case Away:
		us.away += n
	case Hidden:
		us.hidden += n
	default:
		us.active += n
	}
}

func (us *userStatus) current() Status {
	switch {
	case us.hidden > 0:
		return Hidden
	case us.active > 0:
		return Active
	case us.away > 0:
		return Away
	}
	return cmp.Or(us.chosen, Active)
}

// isKnownTo reports whether the entries say all that counts.
func (us *userStatus) isKnownTo(sockets []*onlineSocket) bool {
	switch {
	case len(sockets) == 0:
		return true
	case us.at > 0 && us.active+us.away+us.hidden == 0:
		return false
	}
	return us.visibleAt == 0 ||
		slices.ContainsFunc(sockets, func(s *onlineSocket) bool { return s.entry.VisibleAt == us.visibleAt })
}

// adoptionTimeout is how long a choice counts that none of the user's sockets knows
// of. They adopt it as soon as their instance hears of it.
const adoptionTimeout = time.Minute

// trackAdoption notes whether more counts of a user than the entries say.
func (l *onlineList) trackAdoption(u *onlineUser) {
	_, tracked := l.unadopted[u]
	switch known := u.status.isKnownTo(u.sockets); {
	case known && tracked:
		delete(l.unadopted, u)
	case !known && !tracked:
		l.unadopted[u] = time.Now()
	}
}

// expireUnadopted drops choices that no socket adopted, since their instance was cut off
// and has never heard of them: so all instances show the same again.
func (l *onlineList) expireUnadopted(now time.Time) {
	for u, since := range l.unadopted {
		if now.Sub(since) < adoptionTimeout {
			continue
		}
		u.status = userStatus{}
		for _, s := range u.sockets {
			u.status.add(s.entry)
		}
		l.relist(u, Closed)
	}
}
