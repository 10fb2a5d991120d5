package rooms

import (
	"slices"
	"time"
)

// A presence is what the entries of one user say about the user's status. The
// latest choice counts, even if the tab where it was made is gone since; among
// the tabs that know of it, one that is active makes the user active.
type presence struct {
	chosen Status
	at     int64 // when; 0: never
	// visibleAt is when the user last became visible after hiding; 0: never.
	visibleAt int64
	// How many tabs that know of the choice have each status.
	active, away, hidden int
}

func statusOf(e Entry) Status {
	if e.Status == "" {
		return Active
	}
	return e.Status
}

func (p *presence) with(e Entry) {
	p.visibleAt = max(p.visibleAt, e.VisibleAt)
	if e.StatusAt > p.at {
		*p = presence{chosen: statusOf(e), at: e.StatusAt, visibleAt: p.visibleAt}
	}
	p.count(e, 1)
}

func (p *presence) without(e Entry) { p.count(e, -1) }

func (p *presence) count(e Entry, n int) {
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

func (p *presence) status() Status {
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

// isSaidBy reports whether the entries say all that counts.
func (p *presence) isSaidBy(tabs []*tab) bool {
	if len(tabs) == 0 {
		return true
	}
	if p.at > 0 && p.active+p.away+p.hidden == 0 {
		return false
	}
	return p.visibleAt == 0 || slices.ContainsFunc(tabs, func(t *tab) bool { return t.entry.VisibleAt == p.visibleAt })
}

// maxRemembered is how long a choice of status counts that none of the user's
// tabs knows of. They adopt it as soon as their instance hears of it.
const maxRemembered = time.Minute

// remember notes whether more counts of a user than the entries say.
func (v *view) remember(u *onlineUser) {
	_, known := v.remembered[u]
	switch says := u.presence.isSaidBy(u.tabs); {
	case says && known:
		delete(v.remembered, u)
	case !says && !known:
		v.remembered[u] = time.Now()
	}
}

// forget lets go of choices that no tab adopted: the instance of the tabs has
// never heard of them, having been cut off, and neither will the others. So all
// show the same again.
func (v *view) forget(now time.Time) {
	for u, since := range v.remembered {
		if now.Sub(since) < maxRemembered {
			continue
		}
		u.presence = presence{}
		for _, t := range u.tabs {
			u.presence.with(t.entry)
		}
		v.settle(u, Closed)
	}
}
