package rooms

import (
	"context"
	"encoding/json"
	"time"
)

// pending is what waits for a flush besides the changes of the view.
type pending struct {
	// Somebody is owed a snapshot, a list or the count: see session.
	snapshots, lists, counts bool
	// stale: increments went out since the last flush of lists.
	stale bool
	// count is the number of users last told.
	count int
}

// Run flushes changes to the clients until ctx ends, and then stops watching
// the store. It is the only sender of presence events, so the order of the
// flushes is the order that each client sees.
//
// Increments and lists pace separately: a list is many times larger. A flush
// of lists is one of increments too, so that each client's stream is in step.
func (r *Rooms) Run(ctx context.Context) error {
	defer r.stopWatching()
	defer r.stopMessages()
	defer r.leaving.end()
	increments := pacer{factor: r.options.IncrementsFactor}
	lists := pacer{factor: r.options.ListsFactor}
	timer := time.NewTimer(maxPause)
	defer timer.Stop()
	for ctx.Err() == nil {
		wantIncrements, wantLists := r.waiting()
		now := time.Now()
		switch {
		case wantLists && lists.due(now):
			cost := r.flush(true)
			now = time.Now()
			increments.flushed(now, cost)
			lists.flushed(now, cost)
			continue
		case wantIncrements && increments.due(now):
			cost := r.flush(false)
			increments.flushed(time.Now(), cost)
			continue
		}
		var timeout <-chan time.Time
		if wantIncrements || wantLists {
			next := lists.next
			if !wantLists || wantIncrements && increments.next.Before(next) {
				next = increments.next
			}
			timer.Reset(next.Sub(now))
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

// wakeUp makes the flush loop look again. It never blocks.
func (r *Rooms) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// waiting reports which flushes have something to send.
func (r *Rooms) waiting() (increments, lists bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.view.changed()
	return changed || r.pending.snapshots || r.pending.counts,
		changed || r.pending.stale || r.pending.lists
}

// flush sends what changed since the last flush, with lists the lists too, and
// returns what that cost.
func (r *Rooms) flush(lists bool) time.Duration {
	started := time.Now()
	deliveries := r.cut(lists).deliveries(r.sender)
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
	diff  diff
	list  json.RawMessage // nil if nobody gets it
	count int

	// Each socket is in one of the first three at most.
	toIncrements, toIncrementsAndList, toList []Conn
	toCount                                   []Conn
}

// cut takes the changes and the owed out of the books, in one step: from here
// on they count as told.
func (r *Rooms) cut(lists bool) cut {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := cut{diff: r.view.diff(), count: r.view.size()}
	changed := !c.diff.empty()
	stale := r.pending.stale || changed
	recount := c.count != r.pending.count
	add := func(to *[]Conn, s *session) {
		if *to == nil {
			*to = make([]Conn, 0, len(r.sessions)) // mostly it is all or nobody
		}
		*to = append(*to, s.conn)
	}
	for _, s := range r.sessions {
		increments := changed && (s.subscription == both || s.following)
		list := lists && (s.owedList || stale && s.takesLists())
		switch {
		case s.owedSnapshot: // the whole list stands for these increments too
			add(&c.toList, s)
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
		c.list = r.view.list()
	}
	r.pending = pending{
		lists: r.pending.lists && !lists,
		stale: stale && !lists,
		count: c.count,
	}
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

// deliveries encodes a cut, each thing once however many get it.
func (c cut) deliveries(sender Sender) []Delivery {
	var out []Delivery
	send := func(to []Conn, events func() []Event) {
		if len(to) > 0 {
			out = append(out, Delivery{Frames: sender.Encode(events()...), To: to})
		}
	}
	list := Event{"online_users", []json.RawMessage{c.list}}
	send(c.toIncrements, c.diff.events)
	send(c.toIncrementsAndList, func() []Event { return append(c.diff.events(), list) })
	send(c.toList, func() []Event { return []Event{list} })
	send(c.toCount, func() []Event {
		n, _ := json.Marshal(c.count) // an int cannot fail
		return []Event{{"online_count", []json.RawMessage{n}}}
	})
	return out
}

// events are the increments that make the difference.
func (d diff) events() []Event {
	out := make([]Event, 0, len(d.departed)+len(d.updated)+len(d.added)+1) // and a list
	for _, gone := range d.departed {
		why, _ := json.Marshal(map[string]Reason{"reason": gone.reason}) // strings cannot fail
		out = append(out, Event{"remove_user", []json.RawMessage{gone.user, why}})
	}
	for i := range d.updated {
		out = append(out, Event{"update_user", d.updated[i : i+1 : i+1]})
	}
	for i := range d.added {
		out = append(out, Event{"add_user", d.added[i : i+1 : i+1]})
	}
	return out
}
