package wire

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"
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
	evicting atomic.Bool // a sender makes room
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

// add puts a run into the queue, and reports whether all queues are too long then.
// l.mu is held.
func (l *link) add(r run) (over bool) {
	l.queue = append(l.queue, r)
	l.queued += r.cost()
	return l.hold(r)
}

// hold takes runs into account, for the link and for all. l.mu is held.
func (l *link) hold(runs ...run) (over bool) {
	for _, r := range runs {
		l.waiting.Add(int64(r.cost()))
	}
	return l.srv.outbound.hold(runs...)
}

// letGo takes them out again. l.mu is held.
func (l *link) letGo(runs ...run) {
	for _, r := range runs {
		l.waiting.Add(-int64(r.cost()))
	}
	l.srv.outbound.letGo(runs...)
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
	l.letGo(l.inflight...)
	l.inflight = nil
}

// evict disconnects the clients with the longest queues until an eighth of the
// bound is free, so that finding them, which looks at every link, is rare. The
// caller is the sender for whom there was no room, which thereby makes it: it may
// hold locks of the domain, but none of a link. Nothing here waits.
func (s *Server) evict() {
	if !s.outbound.evicting.CompareAndSwap(false, true) {
		return // another sender is at it
	}
	defer s.outbound.evicting.Store(false)
	free := s.outbound.used.Load() - s.outbound.limit + s.outbound.limit/8
	var evicted []*link
	for _, longest := range s.byQueue() {
		if free <= 0 {
			break
		}
		free -= longest.waiting
		if longest.link.discard() {
			evicted = append(evicted, longest.link)
		}
	}
	go func() { // telling the domain of the end may take its time
		for _, l := range evicted {
			l.tellSlow("all clients' queues together are too long")
			l.drop()
		}
	}()
}

// discard lets go of all that waits for a link at once, before its end is told. It
// reports false if that has been done already.
func (l *link) discard() bool {
	l.mu.Lock()
	if l.dropped || l.discarded {
		l.mu.Unlock()
		return false
	}
	l.discarded, l.closing = true, true
	l.letGo(l.queue...)
	l.written()
	l.queue = nil
	if l.abort != nil {
		l.abort(time.Now())
	}
	conn := l.ws
	l.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	return true
}

// queueOf is a link with what waits for it.
type queueOf struct {
	link    *link
	waiting int64
}

// byQueue is all links for which something waits, the longest queue first. It
// takes no link's lock: with thousands of busy links each may take a while.
func (s *Server) byQueue() []queueOf {
	s.mu.Lock()
	links := slices.Concat(slices.Collect(maps.Values(s.links)), slices.Collect(maps.Keys(s.ending)))
	s.mu.Unlock()
	var list []queueOf
	for _, l := range links {
		if waiting := l.waiting.Load(); waiting > 0 {
			list = append(list, queueOf{l, waiting})
		}
	}
	slices.SortFunc(list, func(a, b queueOf) int { return cmp.Compare(b.waiting, a.waiting) })
	return list
}

// Queued is how many bytes wait to be sent to clients: in all, in which frames that
// many wait for count once, and to the one for whom most wait. Over the bounds
// those for whom most wait are disconnected. It looks at each connection in turn,
// so it is for now and then.
func (s *Server) Queued() (all, most int) {
	if longest := s.byQueue(); len(longest) > 0 {
		most = int(longest[0].waiting)
	}
	return int(s.outbound.used.Load()), most
}
