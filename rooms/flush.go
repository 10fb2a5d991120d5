package rooms

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// pendingFlush is what waits for a flush besides the changes of the online list.
type pendingFlush struct {
	// Somebody is owed a snapshot, a list or the count: see session.
	snapshots, lists, counts bool
	// stale: deltas went out since the last flush of lists. restated: some
	// that were about nothing but a status, which is news to those only who get
	// no deltas.
	listStale, statusStale bool
	// announcedCount is the number of users last told.
	announcedCount int
}

// Run sends the clients what there is for them until ctx ends, and then stops
// watching the store. It is the only sender, so the order in which it sends is
// the order that each client sees.
//
// Increments, lists and lists pace separately: a list is many times larger, so
// in a steady coming and going deltas are at once and lists seldom.
// A flush of lists is one of deltas too, so that each client's stream is in
// step.
func (r *Rooms) Run(ctx context.Context) error {
	defer r.stopWatching()
	defer r.stopMessages()
	defer r.stopFanout()
	r.outbox.running.Store(true)
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { r.runJanitor(ctx) })
	paces := pacers{
		deltas:  pacer{soon: 1, steady: 1},
		lists:   pacer{soon: 3, steady: 50},
		members: pacer{soon: memberPause, steady: memberPause},
	}
	timer := time.NewTimer(maxPause)
	defer timer.Stop()
	for ctx.Err() == nil {
		queued, want, due := r.takeDue(&paces)
		r.fanOutQueued(queued)
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

// memberPause is the pause after lists were told, in units of what that took.
const memberPause = 2

// wantedFlushes is which flushes have something to send.
type wantedFlushes struct{ deltas, lists, members bool }

// A presenceFlush is a flush that is due: what it sends, of one moment.
type presenceFlush struct {
	cut    presenceDelta
	lists  bool
	counts Counts
}

// flushDue does the flush that is due, if there is one.
func (r *Rooms) flushDue(want wantedFlushes, due *presenceFlush, p *pacers) bool {
	now := time.Now()
	switch {
	case due != nil:
		cost := r.flush(due)
		now = time.Now()
		r.options.Observer.Pause("changes", p.deltaFlushed(now, cost))
		if due.lists {
			r.options.Observer.Pause("list", p.lists.flushed(now, cost))
		}
	case want.members && p.members.due(now):
		cost := r.flushMembers()
		r.options.Observer.Flush("rosters", cost)
		r.options.Observer.Pause("rosters", p.members.flushed(time.Now(), cost))
	default:
		return false
	}
	return true
}

// stopFanout is the end of the fan-out: nobody waits for it any more, and what is held is
// left to whoever comes after.
func (r *Rooms) stopFanout() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.grace.close()
	r.outbox.close()
}

// takeDue is what waits in the outbox, which flushes have something to send, and the
// one of presence that is due: what is in the first and the last has left from here
// on.
func (r *Rooms) takeDue(p *pacers) (queued []batch, want wantedFlushes, due *presenceFlush) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken = false
	select {
	case <-r.wake: // it was given meanwhile
	default:
	}
	want = r.waiting()
	now := time.Now()
	if want.deltas {
		p.coalesce(now)
	}
	lists := want.lists && p.lists.due(now)
	if (lists || want.deltas && p.deltas.due(now)) && !(want.members && p.members.due(now)) {
		due = r.takePresence(lists)
	}
	return r.outbox.take(), want, due
}

// takePresence makes one. r.mu is held.
func (r *Rooms) takePresence(lists bool) *presenceFlush {
	return &presenceFlush{r.takeDelta(lists), lists, r.counts()}
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
func (r *Rooms) waiting() wantedFlushes {
	changed := r.online.changed()
	return wantedFlushes{
		deltas:  changed || r.pending.snapshots || r.pending.counts,
		lists:   !r.options.Strict && (changed || r.pending.listStale || r.pending.statusStale || r.pending.lists),
		members: r.lists.dirty.Len() > 0,
	}
}

// flush sends what changed since the last boundary, and returns what that cost.
func (r *Rooms) flush(b *presenceFlush) time.Duration {
	started := time.Now()
	packets := b.cut.batches()
	r.fanOut(packets)
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

// flushMembers sends what changed in the lists, some at a time, and returns what
// that cost.
func (r *Rooms) flushMembers() time.Duration {
	started := time.Now()
	for more := true; more; {
		r.mu.Lock()
		for range min(lockBatch, r.lists.dirty.Len()) {
			r.queueMembers(r.lists.dirty.Front().Value.(*memberList).name)
		}
		more = r.lists.dirty.Len() > 0
		packets := r.outbox.take()
		r.mu.Unlock()
		r.fanOutQueued(packets)
	}
	return time.Since(started)
}

// A presenceDelta is one boundary: who gets what, of one moment of the online list.
type presenceDelta struct {
	diff       delta
	listEvents []Event // nil if nobody gets it
	idsEvents  []Event
	count      int

	// Each socket is in one of the first three at most.
	toDelta, toDeltaAndList, toList []Conn
	toIDs, toCount                  []Conn
}

// takeDelta takes the changes and the owed out of the books, in one step: from here
// on they count as told. r.mu is held.
func (r *Rooms) takeDelta(lists bool) presenceDelta {
	c := presenceDelta{diff: r.online.takeDelta(), count: r.online.size()}
	changed := !c.diff.empty()
	stale := r.pending.listStale || c.diff.changesList()
	restated := r.pending.statusStale || changed
	recount := c.count != r.pending.announcedCount
	add := func(to *[]Conn, s *session) {
		if *to == nil {
			*to = make([]Conn, 0, len(r.sessions)) // mostly it is all or nobody
		}
		*to = append(*to, s.conn)
	}
	for _, s := range r.sessions {
		increments := changed && (s.subscription == both || s.hasSnapshot)
		list := s.needsSnapshot || lists && (s.needsList || stale && s.takesLists() || restated && s.subscription == listOnly)
		if s.wantsIDs && list {
			add(&c.toIDs, s)
		}
		switch {
		case increments && list:
			add(&c.toDeltaAndList, s)
		case increments:
			add(&c.toDelta, s)
		case list:
			add(&c.toList, s)
		}
		if s.needsCount || recount && s.subscription == countOnly {
			add(&c.toCount, s)
		}
		s.markFlushed(lists)
	}
	if len(c.toList)+len(c.toDeltaAndList) > 0 {
		c.listEvents = r.online.snapshotEvents()
	}
	if len(c.toIDs) > 0 {
		c.idsEvents = r.online.idsEvents()
	}
	p := &r.pending
	p.snapshots, p.counts = false, false
	p.lists = p.lists && !lists
	p.listStale, p.statusStale = stale && !lists, restated && !lists
	p.announcedCount = c.count
	return c
}

// takesLists reports whether the session gets every list.
func (s *session) takesLists() bool {
	return s.subscription == both || s.subscription == listOnly
}

// markFlushed notes that a cut was taken, with or without lists.
func (s *session) markFlushed(lists bool) {
	if s.needsSnapshot && s.subscription == changesOnly {
		s.hasSnapshot = true
	}
	if s.needsSnapshot || lists {
		s.needsList = false
	}
	s.needsSnapshot, s.needsCount = false, false
}

// batches is what the sockets get of a cut.
func (c presenceDelta) batches() (out []batch) {
	add := func(to []Conn, events func() []Event) {
		if len(to) > 0 {
			out = append(out, batch{events: events(), to: to})
		}
	}
	add(c.toDelta, c.diff.events)
	add(c.toDeltaAndList, func() []Event { return append(c.diff.events(), c.listEvents...) })
	add(c.toList, func() []Event { return c.listEvents })
	add(c.toIDs, func() []Event { return c.idsEvents })
	add(c.toCount, func() []Event { return []Event{{"online_count", []json.RawMessage{encode(c.count)}}} })
	return out
}
