package engineio

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// This file is the bound on what waits to be sent to all clients together.

// account counts what waits for all clients. hold and letGo are called with the mu
// of the connection that holds the runs.
type account struct {
	limit  int64
	used   atomic.Int64
	making sync.Mutex // held while a sender makes room; taken without any Conn's mu
}

// hold takes runs into account, and reports whether they are too much.
func (a *account) hold(runs ...run) (over bool) {
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
	return a.used.Add(int64(bytes)) > a.limit
}

// letGo takes them out again.
func (a *account) letGo(runs ...run) {
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
	a.used.Add(-int64(bytes))
}

// hold takes runs into account, for the connection and for all. c.mu is held.
func (o *outbox) hold(runs ...run) (over bool) {
	for _, r := range runs {
		o.waiting.Add(int64(r.cost()))
	}
	return o.account.hold(runs...)
}

// letGo takes them out again. c.mu is held.
func (o *outbox) letGo(runs ...run) {
	for _, r := range runs {
		o.waiting.Add(-int64(r.cost()))
	}
	o.account.letGo(runs...)
}

// makeRoom disconnects the clients with the longest queues until an eighth of the
// bound is free, so that finding them, which looks at every connection, is rare. The
// caller is the sender for whom there was no room: it may hold locks of the layer
// above, but none of a Conn. Another sender without room waits until there is some,
// which takes no time of any client's, so that queues do not grow on meanwhile.
func (s *Server) makeRoom() {
	s.account.making.Lock()
	defer s.account.making.Unlock()
	var evicted []*Conn
	for s.account.used.Load() > s.account.limit {
		longest := s.discardLongest()
		if len(longest) == 0 {
			break
		}
		evicted = append(evicted, longest...)
	}
	if len(evicted) == 0 {
		return
	}
	go func() { // telling the sessions of the end may take its time
		for _, c := range evicted {
			c.reportSlow("all clients' queues together are too long")
			c.CloseNow()
		}
	}()
}

// discardLongest lets go of the longest queues, and returns whose they were.
func (s *Server) discardLongest() (discarded []*Conn) {
	free := s.account.used.Load() - s.account.limit + s.account.limit/8
	for _, longest := range s.byQueue() {
		if free <= 0 {
			break
		}
		free -= longest.waiting
		if longest.conn.discard() {
			discarded = append(discarded, longest.conn)
		}
	}
	return discarded
}

// discard lets go of all that waits for a client at once, before its end is told. It
// reports false if that has been done already.
func (c *Conn) discard() bool {
	c.mu.Lock()
	if c.state == gone || c.discarded {
		c.mu.Unlock()
		return false
	}
	c.discarded, c.sealed = true, true
	c.empty()
	if c.abort != nil {
		c.abort(time.Now())
	}
	conn := c.ws
	c.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	return true
}

// queueOf is a connection with the bytes that wait for it.
type queueOf struct {
	conn    *Conn
	waiting int64
}

// byQueue is all connections for which something waits, the longest queue first. It
// takes no Conn's lock: with thousands of busy ones each may take a while.
func (s *Server) byQueue() []queueOf {
	s.mu.Lock()
	conns := slices.Concat(slices.Collect(maps.Values(s.conns)), slices.Collect(maps.Keys(s.ending)))
	s.mu.Unlock()
	var list []queueOf
	for _, c := range conns {
		if waiting := c.waiting.Load(); waiting > 0 {
			list = append(list, queueOf{c, waiting})
		}
	}
	slices.SortFunc(list, func(a, b queueOf) int { return cmp.Compare(b.waiting, a.waiting) })
	return list
}

// Queued is how many bytes wait to be sent to clients: in all, in which frames that
// many wait for count once, and to the one for whom most wait. It looks at each
// connection in turn, so it is for now and then.
func (s *Server) Queued() (all, most int) {
	if longest := s.byQueue(); len(longest) > 0 {
		most = int(longest[0].waiting)
	}
	return int(s.account.used.Load()), most
}
