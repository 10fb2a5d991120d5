package rooms

import "time"

// maxPause bounds how stale a client's view may get.
const maxPause = time.Second

// pause is how long to wait after a flush: a multiple of what it cost, so that
// flushing takes a bounded share of the machine however many listen.
func pause(cost time.Duration, factor int) time.Duration {
	switch {
	case cost <= 0:
		return 0
	case cost >= maxPause/time.Duration(factor):
		return maxPause
	}
	return cost * time.Duration(factor)
}

// A pacer says when the next flush of one kind may be.
type pacer struct {
	factor int
	next   time.Time
}

func (p *pacer) due(now time.Time) bool { return !now.Before(p.next) }

// flushed notes a flush that ended now, and returns the pause after it.
func (p *pacer) flushed(now time.Time, cost time.Duration) time.Duration {
	rest := pause(cost, p.factor)
	p.next = now.Add(rest)
	return rest
}

// paces are the pacers of the flush loop.
type paces struct{ increments, lists, rosters pacer }

// next is when the first of the wanted flushes may be.
func (p *paces) next(want wanted) (next time.Time, ok bool) {
	soonest := func(wanted bool, p *pacer) {
		if wanted && (!ok || p.next.Before(next)) {
			next, ok = p.next, true
		}
	}
	soonest(want.increments, &p.increments)
	soonest(want.lists, &p.lists)
	soonest(want.rosters, &p.rosters)
	return next, ok
}
