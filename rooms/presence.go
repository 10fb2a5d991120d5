package rooms

// A presence is what the entries of one user say about the user's status. The
// latest choice counts, even if the tab where it was made is gone since; among
// the tabs that know of it, one that is active makes the user active.
type presence struct {
	chosen Status
	at     int64 // when; 0: never
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
	if e.StatusAt > p.at {
		*p = presence{chosen: statusOf(e), at: e.StatusAt}
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
