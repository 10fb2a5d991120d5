package rooms

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// pendingFlush is what is due besides the delta of the online list.
type pendingFlush struct {
	// now, snapshots and counts: a session needs a snapshot with the next flush, one
	// with the next flush of snapshots, or the count.
	now, snapshots, counts bool
	// listStale: the list was announced as deltas only. statusStale: deltas of
	// statuses were, which sessions that get no deltas do not know.
	listStale, statusStale bool
	announcedCount         int // of users
}

// Run fans out what is queued and due until ctx ends, and then stops watching the
// store. Nothing else fans out, so each client sees the order in which it does.
//
// Deltas, snapshots of the online list and members are paced separately: a snapshot
// is many times larger, so while users come and go steadily deltas leave at once
// and snapshots seldom. A flush of snapshots is one of deltas too, so that each
// client's stream is consistent.
func (r *Rooms) Run(ctx context.Context) error {
	defer r.stopWatching()
	defer r.stopSubscription()
	defer r.flusher.stop()
	r.outbox.running.Store(true)
	var janitor sync.WaitGroup
	defer janitor.Wait()
	janitor.Go(func() { r.statuses.runJanitor(ctx) })
	r.flusher.run(ctx)
	return nil
}

// A flusher is the flush loop. Its methods are called without the lock.
type flusher struct {
	*core
	pacers pacers
}

func newFlusher(c *core) flusher {
	return flusher{c, pacers{
		deltas:    pacer{soon: 1, steady: 1},
		snapshots: pacer{soon: 3, steady: 50},
		members:   pacer{soon: 2, steady: 2},
	}}
}

func (f *flusher) run(ctx context.Context) {
	timer := time.NewTimer(maxPause)
	defer timer.Stop()
	for ctx.Err() == nil {
		queued, due, presence := f.takeDue()
		f.fanOutQueued(queued)
		if f.flushDue(due, presence) {
			continue
		}
		var timeout <-chan time.Time
		if next, ok := f.pacers.next(due); ok {
			timer.Reset(time.Until(next))
			timeout = timer.C
		}
		select {
		case <-ctx.Done():
		case <-f.outbox.wake:
		case <-timeout:
		}
	}
}

// stop ends the fan-out: callers that wait for it go on, and what is held for the
// grace period is left in the store.
func (f *flusher) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grace.close()
	f.outbox.close()
}

// pendingKinds tells which flushes have something to send.
type pendingKinds struct{ deltas, snapshots, members bool }

// takeDue takes what is queued, and the flush of presence if it is due; kinds were pending.
func (f *flusher) takeDue() (queued []batch, kinds pendingKinds, presence *presenceFlush) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outbox.woken = false
	select {
	case <-f.outbox.wake: // it was woken meanwhile
	default:
	}
	kinds = f.pendingKinds()
	now, p := time.Now(), &f.pacers
	if kinds.deltas {
		p.coalesce(now)
	}
	snapshots := kinds.snapshots && p.snapshots.due(now)
	if (snapshots || kinds.deltas && p.deltas.due(now)) && !(kinds.members && p.members.due(now)) {
		presence = f.takePresence(snapshots)
	}
	return f.outbox.take(), kinds, presence
}

// flushDue does the flush that is due, and reports whether there is one.
func (f *flusher) flushDue(kinds pendingKinds, presence *presenceFlush) bool {
	switch observer, p := f.options.Observer, &f.pacers; {
	case presence != nil:
		cost := f.flush(presence)
		now := time.Now()
		observer.Pause("changes", p.deltasFlushed(now, cost))
		if presence.withSnapshots {
			observer.Pause("list", p.snapshots.flushed(now, cost))
		}
	case kinds.members && p.members.due(time.Now()):
		cost := f.flushMembers()
		observer.Flush("rosters", cost)
		observer.Pause("rosters", p.members.flushed(time.Now(), cost))
	default:
		return false
	}
	return true
}

// pendingKinds is called with the lock held. In strict mode no snapshot waits for a flush.
func (c *core) pendingKinds() pendingKinds {
	changed, p := c.online.hasDelta(), &c.pending
	return pendingKinds{
		deltas:    changed || p.now || p.counts,
		snapshots: !c.options.Strict && (changed || p.listStale || p.statusStale || p.snapshots),
		members:   c.lists.dirty.Len() > 0,
	}
}

// flush fans out a flush of presence, and returns what that cost.
func (f *flusher) flush(p *presenceFlush) time.Duration {
	started := time.Now()
	batches := p.batches()
	f.fanOut(batches)
	cost := time.Since(started)
	if len(batches) > 0 {
		kind := "changes"
		if p.withSnapshots {
			kind = "list"
		}
		f.options.Observer.Flush(kind, cost)
	}
	f.options.Observer.Presence(p.counts.Users, p.counts.Sockets)
	return cost
}

// lockBatch is how many lists or sessions are handled before the lock is let go.
const lockBatch = 64

// flushMembers fans out what is due of the lists, and returns what that cost.
func (f *flusher) flushMembers() time.Duration {
	started := time.Now()
	for more := true; more; {
		f.mu.Lock()
		for range min(lockBatch, f.lists.dirty.Len()) {
			f.queueMembers(f.lists.dirty.Front().Value.(*memberList).name)
		}
		more = f.lists.dirty.Len() > 0
		batches := f.outbox.take()
		f.mu.Unlock()
		f.fanOutQueued(batches)
	}
	return time.Since(started)
}

// fanOutQueued fans out what outbox.take returned.
func (f *flusher) fanOutQueued(batches []batch) {
	if len(batches) == 0 {
		return
	}
	f.fanOut(batches)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outbox.sent(len(batches))
}

// fanOut encodes batches, each once however many sockets get it, and fans them out.
// Everything that sessions get goes through it, but for what ends them.
func (f *flusher) fanOut(batches []batch) {
	deliveries := make([]Delivery, len(batches))
	for i, b := range batches {
		for _, e := range b.events {
			f.options.Observer.Sent(sentKind(e.Name), len(b.to))
		}
		deliveries[i] = Delivery{Frames: f.sender.Encode(b.events...), To: b.to}
	}
	if len(deliveries) > 0 {
		f.sender.Fanout(deliveries)
	}
}

// A presenceFlush is what one flush of the online list fans out, of one moment.
type presenceFlush struct {
	withSnapshots bool
	counts        Counts
	delta         delta
	snapshot, ids []Event // nil if no session gets them

	// Each socket is in one of the first five at most. New ones, which connected while
	// removals waited, get the delta without the users who hid.
	toDelta, toDeltaAndSnapshot, toSnapshot []Conn
	newToDelta, newToDeltaAndSnapshot       []Conn
	toIDs, toCount                          []Conn
}

// takePresence takes the delta and its receivers in one step: afterwards they count
// as announced. It is called with the lock held.
func (c *core) takePresence(withSnapshots bool) *presenceFlush {
	f, p := &presenceFlush{withSnapshots: withSnapshots, counts: c.counts(), delta: c.online.takeDelta()}, &c.pending
	changed := !f.delta.isEmpty()
	listStale := p.listStale || f.delta.changesList()
	statusStale := p.statusStale || changed
	recount := f.counts.Users != p.announcedCount
	add := func(to *[]Conn, s *session) {
		if *to == nil {
			*to = make([]Conn, 0, len(c.sessions.byID)) // mostly it is all or none
		}
		*to = append(*to, s.conn)
	}
	for _, s := range c.sessions.byID {
		delta := changed && (s.subscription == both || s.hasSnapshot)
		snapshot := s.needsSnapshotNow || withSnapshots &&
			(s.needsSnapshot || listStale && s.takesSnapshots() || statusStale && s.subscription == listOnly)
		if s.wantsIDs && snapshot {
			add(&f.toIDs, s)
		}
		switch {
		case delta && snapshot && s.skipsHidden:
			add(&f.newToDeltaAndSnapshot, s)
		case delta && s.skipsHidden:
			add(&f.newToDelta, s)
		case delta && snapshot:
			add(&f.toDeltaAndSnapshot, s)
		case delta:
			add(&f.toDelta, s)
		case snapshot:
			add(&f.toSnapshot, s)
		}
		if s.needsCount || recount && s.subscription == countOnly {
			add(&f.toCount, s)
		}
		s.skipsHidden = false
		s.hasSnapshot = s.hasSnapshot || s.needsSnapshotNow && s.subscription == changesOnly
		s.needsSnapshot = s.needsSnapshot && !s.needsSnapshotNow && !withSnapshots
		s.needsSnapshotNow, s.needsCount = false, false
	}
	if len(f.toSnapshot)+len(f.toDeltaAndSnapshot)+len(f.newToDeltaAndSnapshot) > 0 {
		f.snapshot = c.online.snapshotEvents()
	}
	if len(f.toIDs) > 0 {
		f.ids = c.online.idsEvents()
	}
	*p = pendingFlush{
		snapshots:      p.snapshots && !withSnapshots,
		listStale:      listStale && !withSnapshots,
		statusStale:    statusStale && !withSnapshots,
		announcedCount: f.counts.Users,
	}
	return f
}

// batches returns what the sockets get of a flush.
func (f *presenceFlush) batches() []batch {
	delta := f.delta.events()
	var newDelta []Event
	if len(f.newToDelta)+len(f.newToDeltaAndSnapshot) > 0 {
		newDelta = f.delta.withoutHidden().events()
	}
	out := []batch{
		{delta, f.toDelta},
		{append(slices.Clip(delta), f.snapshot...), f.toDeltaAndSnapshot},
		{newDelta, f.newToDelta},
		{append(slices.Clip(newDelta), f.snapshot...), f.newToDeltaAndSnapshot},
		{f.snapshot, f.toSnapshot},
		{f.ids, f.toIDs},
		{[]Event{{"online_count", []json.RawMessage{encode(f.counts.Users)}}}, f.toCount},
	}
	return slices.DeleteFunc(out, func(b batch) bool { return len(b.to) == 0 || len(b.events) == 0 })
}
