package wire

import (
	"cmp"
	"maps"
	"slices"
	"sync"
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

// outbound is the account of what waits for all clients together. Hold and letGo
// are called with the mu of the link that holds the runs.
type outbound struct {
	limit  int64
	used   atomic.Int64
	making sync.Mutex // held while a sender makes room; taken without any link's mu
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

// empty lets go of all that waits or is being written. l.mu is held.
func (l *link) empty() {
	l.letGo(l.queue...)
	l.letGo(l.kept...)
	l.written()
	l.queue, l.kept = nil, nil
}

// keep takes what is to follow CONNECT, and reports whether all queues are too long
// then. What one client may have waiting bounds this too.
func (l *link) keep(r run) (over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing || l.dropped {
		return false
	}
	if len(l.kept) > 0 && l.waiting.Load()+int64(r.cost()) > int64(l.srv.opts.MaxQueue) {
		l.closing = true
		go l.cutOff("its queue is too long") // the sender may hold a lock
		return false
	}
	l.kept = append(l.kept, r)
	return l.hold(r)
}

// sendKept sends what was kept: CONNECT is in the queue.
func (l *link) sendKept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.kept) == 0:
		return
	case l.closing || l.dropped:
		l.letGo(l.kept...)
	default:
		for _, r := range l.kept {
			l.queued += r.cost()
		}
		l.queue = append(l.queue, l.kept...)
		l.deliver()
	}
	l.kept = nil
}

// dropKept lets go of what was kept: there will be no CONNECT.
func (l *link) dropKept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letGo(l.kept...)
	l.kept = nil
}

// written lets go of what was being written. l.mu is held.
func (l *link) written() {
	l.letGo(l.inflight...)
	l.inflight = nil
}

// evict disconnects the clients with the longest queues until an eighth of the
// bound is free, so that finding them, which looks at every link, is rare. The
// caller is the sender for whom there was no room, which thereby makes it: it may
// hold locks of the domain, but none of a link. A sender for whom there is no room
// either meanwhile waits until there is, which takes no time of any client's, so
// that queues do not grow on beyond the bound.
func (s *Server) evict() {
	s.outbound.making.Lock()
	defer s.outbound.making.Unlock()
	var evicted []*link
	for s.outbound.used.Load() > s.outbound.limit {
		longest := s.discardLongest()
		if len(longest) == 0 {
			break
		}
		evicted = append(evicted, longest...)
	}
	if len(evicted) == 0 {
		return
	}
	go func() { // telling the domain of the end may take its time
		for _, l := range evicted {
			l.tellSlow("all clients' queues together are too long")
			l.drop()
		}
	}()
}

// discardLongest lets go of the longest queues, and returns whose they were.
func (s *Server) discardLongest() (discarded []*link) {
	free := s.outbound.used.Load() - s.outbound.limit + s.outbound.limit/8
	for _, longest := range s.byQueue() {
		if free <= 0 {
			break
		}
		free -= longest.waiting
		if longest.link.discard() {
			discarded = append(discarded, longest.link)
		}
	}
	return discarded
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
	l.empty()
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
