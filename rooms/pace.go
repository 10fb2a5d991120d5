package rooms

import "time"

// maxPause bounds how stale a client's view may get.
const maxPause = time.Second

// pause is how long to wait after a flush: a multiple of what it cost, so that
// flushing takes a bounded share of the machine, however many sessions there are.
func pause(cost time.Duration, factor int) time.Duration {
	return min(cost*time.Duration(factor), maxPause)
}

// A pacer says when the next flush of one kind may be. After quiet a few flushes
// follow each other soon, so that a burst is over soon; while changes go on, flushes
// become as rare as steady asks for.
type pacer struct {
	// soon and steady are the pauses after a flush in units of what it cost:
	// 3 takes a quarter of the time at most, 50 a fiftieth.
	soon, steady int
	spent        float64 // flushes after which soon has been used up, of burst
	last, next   time.Time
}

// burst is how many flushes may follow each other soon; a steady pause gives back one.
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

// pacers are those of the flush loop.
type pacers struct {
	deltas, snapshots, members pacer

	coalescing bool          // a change waits for others
	flushCost  time.Duration // of a flush of presence, the highest lately
}

// maxCoalesce bounds how long a change waits for others.
const maxCoalesce = 5 * time.Millisecond

// coalesce puts off the flush of a change that just came by half of what a flush
// costs: changes come in pairs and swarms, and one that comes just after a flush
// began would wait for the whole of it and the pause after.
func (p *pacers) coalesce(now time.Time) {
	if p.coalescing {
		return
	}
	p.coalescing = true
	at := now.Add(min(p.flushCost/2, maxCoalesce))
	p.deltas.notBefore(at)
	p.snapshots.notBefore(at)
}

// deltasFlushed notes a flush of presence that ended now, and returns the pause after
// it. A flush to one new session costs next to nothing and says nothing of others.
func (p *pacers) deltasFlushed(now time.Time, cost time.Duration) time.Duration {
	p.coalescing, p.flushCost = false, max(cost, p.flushCost-p.flushCost/8)
	return p.deltas.flushed(now, cost)
}

// next is when the first of the pending flushes may be.
func (p *pacers) next(kinds pendingKinds) (next time.Time, ok bool) {
	soonest := func(pending bool, p *pacer) {
		if pending && (!ok || p.next.Before(next)) {
			next, ok = p.next, true
		}
	}
	soonest(kinds.deltas, &p.deltas)
	soonest(kinds.snapshots, &p.snapshots)
	soonest(kinds.members, &p.members)
	return next, ok
}
