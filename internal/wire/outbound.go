package wire

import (
	"maps"
	"slices"
	"sync/atomic"
)

// A run is frames in a link's queue.
type run struct {
	frames []byte
	shared *shared // nil: they are in this queue alone
}

// shared counts the queues that hold the same frames: those of a flush, which are
// in memory once however many receivers there are.
type shared struct {
	size   int
	queues atomic.Int64
}

// outbound is the account of what waits for all clients together. Its methods are
// called with the mu of the link that holds the runs.
type outbound struct {
	limit    int64
	used     atomic.Int64
	evicting atomic.Bool // somebody makes room
}

// hold takes runs into account, and reports whether they are too much.
func (o *outbound) hold(runs ...run) (over bool) {
	bytes := 0
	for _, r := range runs {
		bytes += frameCost
		switch {
		case r.shared == nil:
			bytes += len(r.frames)
		case r.shared.queues.Add(1) == 1:
			bytes += r.shared.size
		}
	}
	return o.used.Add(int64(bytes)) > o.limit
}

// letGo takes them out again.
func (o *outbound) letGo(runs ...run) {
	bytes := 0
	for _, r := range runs {
		bytes += frameCost
		switch {
		case r.shared == nil:
			bytes += len(r.frames)
		case r.shared.queues.Add(-1) == 0:
			bytes += r.shared.size
		}
	}
	o.used.Add(-int64(bytes))
}

// add puts a run into the queue. l.mu is held.
func (l *link) add(r run) {
	l.queue = append(l.queue, r)
	l.queued += r.cost()
	l.srv.account(r)
}

// cost is what a run counts against its link's bound.
func (r run) cost() int { return len(r.frames) + frameCost }

// takeRuns moves runs from the queue to those that are being written: all, or as many
// as fit into so many bytes, but at least one. l.mu is held.
func (l *link) takeRuns(most int) []run {
	n, size := 0, 0
	for n < len(l.queue) && (n == 0 || size+l.queue[n].cost() <= most) {
		size += l.queue[n].cost()
		n++
	}
	taken := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	l.inflight = append(l.inflight, taken...)
	return taken
}

// written lets go of what was being written. l.mu is held.
func (l *link) written() {
	l.srv.outbound.letGo(l.inflight...)
	l.inflight = nil
}

// account holds runs, and sees that there is room. It does not block: the caller
// may hold locks.
func (s *Server) account(runs ...run) {
	if s.outbound.hold(runs...) && s.outbound.evicting.CompareAndSwap(false, true) {
		go s.evict()
	}
}

// evict disconnects the clients with the longest queues until an eighth of the
// bound is free, so that finding them, which looks at every link, is rare.
func (s *Server) evict() {
	defer s.outbound.evicting.Store(false)
	for s.outbound.used.Load() > s.outbound.limit {
		free := s.outbound.used.Load() - s.outbound.limit + s.outbound.limit/8
		longest := s.byQueue()
		if len(longest) == 0 {
			return // what is held is on its way out
		}
		for _, l := range longest {
			if free <= 0 {
				break
			}
			free -= int64(l.waiting)
			l.link.cutOff("all clients' queues together are too long")
		}
	}
}

// queueOf is a link with what waits for it.
type queueOf struct {
	link    *link
	waiting int
}

// byQueue is all links for which something waits, the longest queue first.
func (s *Server) byQueue() []queueOf {
	s.mu.Lock()
	links := slices.Concat(slices.Collect(maps.Values(s.links)), slices.Collect(maps.Keys(s.ending)))
	s.mu.Unlock()
	var list []queueOf
	for _, l := range links {
		if waiting := l.waiting(); waiting > 0 {
			list = append(list, queueOf{l, waiting})
		}
	}
	slices.SortFunc(list, func(a, b queueOf) int { return b.waiting - a.waiting })
	return list
}

// waiting is how many bytes wait for a link or are being written to it.
func (l *link) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes := 0
	for _, runs := range [][]run{l.queue, l.inflight} {
		for _, r := range runs {
			bytes += r.cost()
		}
	}
	return bytes
}

// Queued is how many bytes wait to be sent to clients: in all, in which frames that
// many wait for count once, and to the one for whom most wait. Over the bounds
// those for whom most wait are disconnected. It looks at each connection in turn,
// so it is for now and then.
func (s *Server) Queued() (all, most int) {
	if longest := s.byQueue(); len(longest) > 0 {
		most = longest[0].waiting
	}
	return int(s.outbound.used.Load()), most
}
