package engineio

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// This file is what waits to be sent: runs of frames, the queue of one client, and
// the bound on the queues of all.

// A Run is frames that are queued and written together.
type Run struct {
	frames []byte
	shared *shared // nil: they are in one queue alone
}

// shared counts the queues that hold the same frames, which are in memory once
// however many receivers there are.
type shared struct {
	size   int
	queues atomic.Int64
}

// NewRun makes a run of frames that one connection sends.
func NewRun(frames []byte) Run { return Run{frames: frames} }

// Shared makes a run of frames that many connections send. They must not change.
func Shared(frames []byte) Run { return Run{frames, &shared{size: len(frames)}} }

// cost is what a run counts against its connection's bound.
func (r Run) cost() int { return len(r.frames) + frameCost }

// frameCost is what any frame costs beside its bytes, about, in bytes.
const frameCost = 64

// outbox is what waits to be sent to one client. Its Conn's mu guards it.
type outbox struct {
	account  *account
	waiting  atomic.Int64 // bytes in all that follows; read without mu
	queue    []Run        // not yet taken by a transport
	held     []heldRun    // of streams that are not open yet
	inflight []Run        // being written
	queued   int          // bytes in queue, and over WebSocket being written
	writing  bool         // a writer goroutine runs, or Write does
	flush    *Flush       // told when the queue has been written
	closing  []byte       // the last frame over WebSocket, if it is not closeFrame
}

// heldRun is a run of a stream that is not open yet.
type heldRun struct {
	of  *Stream
	run Run
}

// count takes runs into account, for the client and for all, or with -1 out of it. It
// reports whether all queues together are too long.
func (o *outbox) count(by int64, runs ...Run) (over bool) {
	for _, r := range runs {
		o.waiting.Add(by * int64(r.cost()))
	}
	return o.account.count(by, runs...)
}

// push appends a run to the queue.
func (o *outbox) push(r Run) {
	o.queue = append(o.queue, r)
	o.queued += r.cost()
}

// take moves runs from the queue to those that are being written: as many as fit into
// so many bytes, but at least one.
func (o *outbox) take(most int) []Run {
	n, size := 0, 0
	for n < len(o.queue) && (n == 0 || size+o.queue[n].cost() <= most) {
		size += o.queue[n].cost()
		n++
	}
	taken := o.queue[:n:n]
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
	o.inflight = append(o.inflight, taken...)
	return taken
}

// maxAnswer is how much of the queue goes into one answer to a poll, since that is a
// copy: as much as this, but at least one run. The rest waits for the next poll.
const maxAnswer = 256 << 10

// takeForPoll takes what a poll is answered with, and reports whether that is the last
// answer.
func (o *outbox) takeForPoll(life *lifetime) (runs []Run, last bool) {
	most := maxAnswer
	if n := len(o.queue); life.sealed && life.state == leaving && n > 1 {
		// Clients of 4.x act on a close before the events that came with it, and
		// lose them: it goes with the next poll, as in Node.
		ending := o.queue[n-1]
		o.queue = o.queue[:n-1]
		runs = o.take(most)
		o.queue = append(o.queue, ending)
	} else {
		if life.sealed && life.state != leaving { // no poll will come for the rest
			most = math.MaxInt
		}
		runs = o.take(most)
	}
	for _, r := range runs {
		o.queued -= r.cost()
	}
	return runs, life.sealed && len(o.queue) == 0
}

// written lets go of what was being written.
func (o *outbox) written() {
	o.count(-1, o.inflight...)
	o.inflight = nil
}

// empty lets go of all that waits or is being written.
func (o *outbox) empty() {
	o.count(-1, o.queue...)
	for _, h := range o.held {
		o.count(-1, h.run)
	}
	o.written()
	o.queue, o.held = nil, nil
}

// account counts what waits for all clients.
type account struct {
	limit  int64
	used   atomic.Int64
	making sync.Mutex // held while a sender makes room; taken with no Conn's mu held
}

// count takes runs into account, or with -1 out of it, with the mu of the connection
// that holds them. It reports whether they are too much.
func (a *account) count(by int64, runs ...Run) (over bool) {
	bytes := int64(0)
	for _, r := range runs {
		bytes += frameCost
		switch {
		case r.shared == nil:
			bytes += int64(len(r.frames))
		case r.shared.queues.Add(by) == max(by, 0): // it came into the first queue, or left the last
			bytes += int64(r.shared.size)
		}
	}
	return a.used.Add(by*bytes) > a.limit
}

// makeRoom disconnects the clients with the longest queues until an eighth of the
// bound is free, so that finding them, which looks at every connection, is rare. It is
// for a sender that found no room and holds no mutex. Other senders without room wait
// meanwhile, so that queues do not grow on; no client is waited for.
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
			s.reportSlow(c, "all clients' queues together are too long")
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
		if s.discard(longest.conn) {
			discarded = append(discarded, longest.conn)
		}
	}
	return discarded
}

// discard lets go of all that waits for a client at once, before its end is told. It
// reports false if that has been done already.
func (s *Server) discard(c *Conn) bool {
	c.mu.Lock()
	if !c.life.hasQueue() {
		c.mu.Unlock()
		return false
	}
	c.life.discarded, c.life.sealed = true, true
	c.out.empty()
	c.carrier.abortPoll(time.Now())
	conn := c.carrier.ws
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
// takes no Conn's lock: each of thousands may take a while.
func (s *Server) byQueue() []queueOf {
	s.mu.Lock()
	conns := slices.Concat(slices.Collect(maps.Values(s.conns)), slices.Collect(maps.Keys(s.ending)))
	s.mu.Unlock()
	var list []queueOf
	for _, c := range conns {
		if waiting := c.out.waiting.Load(); waiting > 0 {
			list = append(list, queueOf{c, waiting})
		}
	}
	slices.SortFunc(list, func(a, b queueOf) int { return cmp.Compare(b.waiting, a.waiting) })
	return list
}

// Queued is how many bytes wait to be sent: in all, where shared frames count once, and
// to the one client for whom most wait. It looks at each connection: for now and then.
func (s *Server) Queued() (all, most int) {
	if longest := s.byQueue(); len(longest) > 0 {
		most = int(longest[0].waiting)
	}
	return int(s.account.used.Load()), most
}
