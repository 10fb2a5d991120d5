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

// A pacer says when the next flush of one kind may be. After quiet a few flushes
// follow each other soon, so that a storm is over soon; if there is no end of
// changes, flushes become as rare as the long run asks for.
type pacer struct {
	// soon and steady are the pauses after a flush in units of what it cost:
	// 3 takes a quarter of the time at most, 50 a fiftieth.
	soon, steady int
	spent        float64 // flushes after which soon has been used up, of burst
	last, next   time.Time
}

// burst is how many flushes may follow each other soon. A pause of the steady
// length gives back one.
const burst = 4

// notBefore puts the next flush off.
func (p *pacer) notBefore(at time.Time) {
	if p.next.Before(at) {
		p.next = at
	}
}

func (p *pacer) due(now time.Time) bool { return !now.Before(p.next) }

// flushed notes a flush that ended now, and returns the pause after it.
func (p *pacer) flushed(now time.Time, cost time.Duration) time.Duration {
	if steady := pause(cost, p.steady); steady > 0 {
		p.spent = max(0, p.spent-float64(now.Sub(p.last))/float64(steady)) + 1
	}
	factor := p.soon
	if p.spent > burst {
		factor = p.steady
	}
	rest := pause(cost, factor)
	p.last, p.next = now, now.Add(rest)
	return rest
}

// pacers are the pacers of the flush loop.
type pacers struct {
	deltas, lists, members pacer

	coalescing bool          // a change waits for others
	flushCost  time.Duration // of a flush of changes, the dearest lately
}

// maxCoalesce bounds how long a change waits for others.
const maxCoalesce = 5 * time.Millisecond

// coalesce puts off the flush of a change that just came by half of what a flush
// costs: comings and goings come in pairs and swarms, and who comes a moment
// too late for a flush would wait for the whole of it, and the pause after.
func (p *pacers) coalesce(now time.Time) {
	if p.coalescing {
		return
	}
	p.coalescing = true
	at := now.Add(min(p.flushCost/2, maxCoalesce))
	p.deltas.notBefore(at)
	p.lists.notBefore(at)
}

// deltaFlushed notes a flush of changes that ended now, and returns the pause after it. A
// flush to a single newcomer costs next to nothing and says nothing of the others.
func (p *pacers) deltaFlushed(now time.Time, cost time.Duration) time.Duration {
	p.coalescing, p.flushCost = false, max(cost, p.flushCost-p.flushCost/8)
	return p.deltas.flushed(now, cost)
}

// next is when the first of the wanted flushes may be.
func (p *pacers) next(want wantedFlushes) (next time.Time, ok bool) {
	soonest := func(wanted bool, p *pacer) {
		if wanted && (!ok || p.next.Before(next)) {
			next, ok = p.next, true
		}
	}
	soonest(want.deltas, &p.deltas)
	soonest(want.lists, &p.lists)
	soonest(want.members, &p.members)
	return next, ok
}
