package rooms

import (
	"slices"
	"time"
)

// An userStatus is what the entries of one user say about the user's status. The
// latest choice counts, even if the socket where it was made is gone since; among
// the sockets that know of it, one that is active makes the user active.
type userStatus struct {
	chosen Status
	at     int64 // when; 0: never
	// visibleAt is when the user last became visible after hiding; 0: never.
	visibleAt int64
	// How many sockets that know of the choice have each status.
	active, away, hidden int
}

func statusOf(e Entry) Status {
	if e.Status == "" {
		return Active
	}
	return e.Status
}

func (p *userStatus) add(e Entry) {
	p.visibleAt = max(p.visibleAt, e.VisibleAt)
	if e.StatusAt > p.at {
		*p = userStatus{chosen: statusOf(e), at: e.StatusAt, visibleAt: p.visibleAt}
	}
	p.count(e, 1)
}

func (p *userStatus) remove(e Entry) { p.count(e, -1) }

func (p *userStatus) count(e Entry, n int) {
	if e.StatusAt != p.at {
		return
	}
	switch statusOf(e) {
	case Away:
		p.away += n
	case Hidden:
		p.hidden += n
	default:
		p.active += n
	}
}

func (p *userStatus) current() Status {
	switch {
	case p.hidden > 0:
		return Hidden
	case p.active > 0:
		return Active
	case p.away > 0:
		return Away
	case p.chosen != "":
		return p.chosen
	}
	return Active
}

// isKnownTo reports whether the entries say all that counts.
func (p *userStatus) isKnownTo(tabs []*onlineSocket) bool {
	if len(tabs) == 0 {
		return true
	}
	if p.at > 0 && p.active+p.away+p.hidden == 0 {
		return false
	}
	return p.visibleAt == 0 || slices.ContainsFunc(tabs, func(t *onlineSocket) bool { return t.entry.VisibleAt == p.visibleAt })
}

// adoptionTimeout is how long a choice of status counts that none of the user's
// sockets knows of. They adopt it as soon as their instance hears of it.
const adoptionTimeout = time.Minute

// trackAdoption notes whether more counts of a user than the entries say.
func (v *onlineList) trackAdoption(u *onlineUser) {
	_, known := v.unadopted[u]
	switch says := u.status.isKnownTo(u.sockets); {
	case says && known:
		delete(v.unadopted, u)
	case !says && !known:
		v.unadopted[u] = time.Now()
	}
}

// expireUnadopted lets go of choices that no socket adopted: the instance of the sockets has
// never heard of them, having been cut off, and neither will the others. So all
// show the same again.
func (v *onlineList) expireUnadopted(now time.Time) {
	for u, since := range v.unadopted {
		if now.Sub(since) < adoptionTimeout {
			continue
		}
		u.status = userStatus{}
		for _, t := range u.sockets {
			u.status.add(t.entry)
		}
		v.relist(u, Closed)
	}
}
