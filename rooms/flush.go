package rooms

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// pending is what waits for a flush besides the changes of the view.
type pending struct {
	// Somebody is owed a snapshot, a list or the count: see session.
	snapshots, lists, counts bool
	// stale: increments went out since the last flush of lists. restated: some
	// that were about nothing but a status, which is news to those only who get
	// no increments.
	stale, restated bool
	// count is the number of users last told.
	count int
}

// Run sends the clients what there is for them until ctx ends, and then stops
// watching the store. It is the only sender, so the order in which it sends is
// the order that each client sees.
//
// Increments, lists and rosters pace separately: a list is many times larger, so
// in a steady coming and going increments are at once and lists seldom.
// A flush of lists is one of increments too, so that each client's stream is in
// step.
func (r *Rooms) Run(ctx context.Context) error {
	defer r.stopWatching()
	defer r.stopMessages()
	defer r.end()
	r.outbox.running.Store(true)
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { r.lookAround(ctx) })
	paces := paces{
		increments: pacer{soon: 1, steady: 1},
		lists:      pacer{soon: 3, steady: 50},
		rosters:    pacer{soon: rosterPause, steady: rosterPause},
	}
	timer := time.NewTimer(maxPause)
	defer timer.Stop()
	for ctx.Err() == nil {
		queued, want, due := r.look(&paces)
		r.sendQueued(queued)
		if r.flushDue(want, due, &paces) {
			continue
		}
		var timeout <-chan time.Time
		if next, ok := paces.next(want); ok {
			timer.Reset(time.Until(next))
			timeout = timer.C
		}
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timeout:
		}
	}
	return nil
}

// rosterPause is the pause after rosters were told, in units of what that took.
const rosterPause = 2

// wanted is which flushes have something to send.
type wanted struct{ increments, lists, rosters bool }

// A boundary is a flush that is due: what it sends, of one moment.
type boundary struct {
	cut    cut
	lists  bool
	counts Counts
}

// flushDue does the flush that is due, if there is one.
func (r *Rooms) flushDue(want wanted, due *boundary, p *paces) bool {
	now := time.Now()
	switch {
	case due != nil:
		cost := r.flush(due)
		now = time.Now()
		r.options.Observer.Pause("changes", p.told(now, cost))
		if due.lists {
			r.options.Observer.Pause("list", p.lists.flushed(now, cost))
		}
	case want.rosters && p.rosters.due(now):
		cost := r.flushRosters()
		r.options.Observer.Flush("rosters", cost)
		r.options.Observer.Pause("rosters", p.rosters.flushed(time.Now(), cost))
	default:
		return false
	}
	return true
}

// end is the end of the fan-out: nobody waits for it any more, and what is held is
// left to whoever comes after.
func (r *Rooms) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving.end()
	r.outbox.end()
}

// look is what waits in the outbox, which flushes have something to send, and the
// one of presence that is due: what is in the first and the last has left from here
// on.
func (r *Rooms) look(p *paces) (queued []packet, want wanted, due *boundary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken = false
	select {
	case <-r.wake: // it was given meanwhile
	default:
	}
	want = r.waiting()
	now := time.Now()
	if want.increments {
		p.gather(now)
	}
	lists := want.lists && p.lists.due(now)
	if (lists || want.increments && p.increments.due(now)) && !(want.rosters && p.rosters.due(now)) {
		due = r.boundary(lists)
	}
	return r.outbox.take(), want, due
}

// boundary makes one. r.mu is held.
func (r *Rooms) boundary(lists bool) *boundary {
	return &boundary{r.cut(lists), lists, r.counts()}
}

// wakeUp makes the flush loop look again. It never blocks. r.mu is held.
func (r *Rooms) wakeUp() {
	if r.woken {
		return
	}
	r.woken = true
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// waiting reports which flushes have something to send. In strict mode lists
// do not wait. r.mu is held.
func (r *Rooms) waiting() wanted {
	changed := r.view.changed()
	return wanted{
		increments: changed || r.pending.snapshots || r.pending.counts,
		lists:      !r.options.Strict && (changed || r.pending.stale || r.pending.restated || r.pending.lists),
		rosters:    r.rosters.dirty.Len() > 0,
	}
}

// flush sends what changed since the last boundary, and returns what that cost.
func (r *Rooms) flush(b *boundary) time.Duration {
	started := time.Now()
	packets := b.cut.packets()
	r.send(packets)
	cost := time.Since(started)
	if len(packets) > 0 {
		kind := "changes"
		if b.lists {
			kind = "list"
		}
		r.options.Observer.Flush(kind, cost)
	}
	r.options.Observer.Presence(b.counts.Users, b.counts.Sockets)
	return cost
}

// flushRosters sends what changed in the rosters, some at a time, and returns what
// that cost.
func (r *Rooms) flushRosters() time.Duration {
	started := time.Now()
	for more := true; more; {
		r.mu.Lock()
		for range min(maxAtOnce, r.rosters.dirty.Len()) {
			r.queueRoster(r.rosters.dirty.Front().Value.(*roster).list)
		}
		more = r.rosters.dirty.Len() > 0
		packets := r.outbox.take()
		r.mu.Unlock()
		r.sendQueued(packets)
	}
	return time.Since(started)
}

// A cut is one boundary: who gets what, of one moment of the view.
type cut struct {
	diff   diff
	list   []Event // nil if nobody gets it
	object []Event
	count  int

	// Each socket is in one of the first three at most.
	toIncrements, toIncrementsAndList, toList []Conn
	toObject, toCount                         []Conn
}

// cut takes the changes and the owed out of the books, in one step: from here
// on they count as told. r.mu is held.
func (r *Rooms) cut(lists bool) cut {
	c := cut{diff: r.view.diff(), count: r.view.size()}
	changed := !c.diff.empty()
	stale := r.pending.stale || c.diff.relists()
	restated := r.pending.restated || changed
	recount := c.count != r.pending.count
	add := func(to *[]Conn, s *session) {
		if *to == nil {
			*to = make([]Conn, 0, len(r.sessions)) // mostly it is all or nobody
		}
		*to = append(*to, s.conn)
	}
	for _, s := range r.sessions {
		increments := changed && (s.subscription == both || s.following)
		list := s.owedSnapshot || lists && (s.owedList || stale && s.takesLists() || restated && s.subscription == listOnly)
		if s.wantsObject && list {
			add(&c.toObject, s)
		}
		switch {
		case increments && list:
			add(&c.toIncrementsAndList, s)
		case increments:
			add(&c.toIncrements, s)
		case list:
			add(&c.toList, s)
		}
		if s.owedCount || recount && s.subscription == countOnly {
			add(&c.toCount, s)
		}
		s.settle(lists)
	}
	if len(c.toList)+len(c.toIncrementsAndList) > 0 {
		c.list = r.view.listEvents()
	}
	if len(c.toObject) > 0 {
		c.object = r.view.objectEvents()
	}
	p := &r.pending
	p.snapshots, p.counts = false, false
	p.lists = p.lists && !lists
	p.stale, p.restated = stale && !lists, restated && !lists
	p.count = c.count
	return c
}

// takesLists reports whether the session gets every list.
func (s *session) takesLists() bool {
	return s.subscription == both || s.subscription == listOnly
}

// settle notes that a cut was taken, with or without lists.
func (s *session) settle(lists bool) {
	if s.owedSnapshot && s.subscription == changesOnly {
		s.following = true
	}
	if s.owedSnapshot || lists {
		s.owedList = false
	}
	s.owedSnapshot, s.owedCount = false, false
}

// packets is what the sockets get of a cut.
func (c cut) packets() (out []packet) {
	add := func(to []Conn, events func() []Event) {
		if len(to) > 0 {
			out = append(out, packet{events: events(), to: to})
		}
	}
	add(c.toIncrements, c.diff.events)
	add(c.toIncrementsAndList, func() []Event { return append(c.diff.events(), c.list...) })
	add(c.toList, func() []Event { return c.list })
	add(c.toObject, func() []Event { return c.object })
	add(c.toCount, func() []Event { return []Event{{"online_count", []json.RawMessage{encode(c.count)}}} })
	return out
}
