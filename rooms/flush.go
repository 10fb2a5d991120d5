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

	// adopt are users whose status was chosen on another instance, or who joined
	// there before, and whose tabs here have to follow. Bounded by the users.
	adopt map[userKey]struct{}
	// signOuts are users to be signed out.
	signOuts []string
}

// Run flushes changes to the clients until ctx ends, and then stops watching
// the store. It is the only sender of presence events, so the order of the
// flushes is the order that each client sees.
//
// Increments, lists and rosters pace separately: a list is many times larger, so
// in a steady coming and going increments are at once and lists seldom.
// A flush of lists is one of increments too, so that each client's stream is in
// step.
func (r *Rooms) Run(ctx context.Context) error {
	defer r.stopWatching()
	defer r.stopMessages()
	defer r.leaving.end()
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
		r.catchUp()
		want := r.waiting()
		if r.flushDue(want, &paces) {
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
// It only queues; the writing, which others do, is some ten times that.
const rosterPause = 20

// wanted is which flushes have something to send.
type wanted struct{ increments, lists, rosters bool }

// flushDue does one flush that is due, if there is one.
func (r *Rooms) flushDue(want wanted, p *paces) bool {
	now := time.Now()
	if want.increments {
		p.gather(now)
	}
	switch {
	case want.rosters && p.rosters.due(now):
		cost := r.tellRosters()
		r.options.Observer.Flush("rosters", cost)
		r.options.Observer.Pause("rosters", p.rosters.flushed(time.Now(), cost))
	case want.lists && p.lists.due(now):
		cost := r.flush(true)
		now = time.Now()
		r.options.Observer.Pause("changes", p.told(now, cost))
		r.options.Observer.Pause("list", p.lists.flushed(now, cost))
	case want.increments && p.increments.due(now):
		cost := r.flush(false)
		r.options.Observer.Pause("changes", p.told(time.Now(), cost))
	default:
		return false
	}
	return true
}

// catchUp does what the watcher of the store, which may not call it, left to
// be done.
func (r *Rooms) catchUp() {
	r.mu.Lock()
	adopt, signOuts := r.pending.adopt, r.pending.signOuts
	r.pending.adopt, r.pending.signOuts = nil, nil
	r.mu.Unlock()
	for key := range adopt {
		if status, at := r.chosen(key); at > 0 {
			r.spread(key, status, at)
		}
		r.carry(key)
	}
	for _, id := range signOuts {
		r.signOut(id)
	}
}

// wakeUp makes the flush loop look again. It never blocks.
func (r *Rooms) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// waiting reports which flushes have something to send. In strict mode lists
// do not wait.
func (r *Rooms) waiting() wanted {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.view.changed()
	return wanted{
		increments: changed || r.pending.snapshots || r.pending.counts,
		lists:      !r.options.Strict && (changed || r.pending.stale || r.pending.restated || r.pending.lists),
		rosters:    r.rosters.dirty.Len() > 0,
	}
}

// flush sends what changed since the last flush, with lists the lists too, and
// returns what that cost.
func (r *Rooms) flush(lists bool) time.Duration {
	started := time.Now()
	deliveries := r.cut(lists).deliveries(r.sender, r.noteSent)
	cost := time.Since(started)
	if len(deliveries) > 0 {
		cost += r.sender.Fanout(deliveries)
		kind := "changes"
		if lists {
			kind = "list"
		}
		r.options.Observer.Flush(kind, cost)
	}
	now := r.Counts()
	r.options.Observer.Presence(now.Users, now.Sockets)
	return cost
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
// on they count as told.
func (r *Rooms) cut(lists bool) cut {
	r.mu.Lock()
	defer r.mu.Unlock()
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

// deliveries encodes a cut, each thing once however many get it, and notes it.
func (c cut) deliveries(sender Sender, note func(events []Event, sockets int)) []Delivery {
	var out []Delivery
	send := func(to []Conn, what func() []Event) {
		if len(to) > 0 {
			events := what()
			note(events, len(to))
			out = append(out, Delivery{Frames: sender.Encode(events...), To: to})
		}
	}
	send(c.toIncrements, c.diff.events)
	send(c.toIncrementsAndList, func() []Event { return append(c.diff.events(), c.list...) })
	send(c.toList, func() []Event { return c.list })
	send(c.toObject, func() []Event { return c.object })
	send(c.toCount, func() []Event { return []Event{{"online_count", []json.RawMessage{encode(c.count)}}} })
	return out
}
