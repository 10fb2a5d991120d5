package redis

import (
	"cmp"
	"context"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/rooms"
)

// A resync compares everything with Redis at one moment, after which the
// reader reads on from there. It is for a reader that lost its place, and for
// a Redis that lost its data or got older ones back.

// resync takes a snapshot and makes both sides right.
func (r *Store) resync(ctx context.Context, why string) error {
	r.mu.Lock()
	acked, ackedCount, rewriting := r.own.acked, r.own.ackedCount, r.own.isRewriting()
	args := []any{r.newToken(), r.others.lastID, r.others.token, r.instance}
	for _, instance := range r.others.instances() {
		args = append(args, instance)
	}
	r.mu.Unlock()
	reply, err := r.run(ctx, 5*r.timing.Call, r.scripts.snapshot, args...)
	if err != nil {
		return err
	}
	snap, err := parseSnapshot(reply)
	if err != nil {
		r.counters.failed()
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	o := &r.others
	first := o.started == ""
	o.seq, o.token, o.lastID = snap.seq, snap.token, snap.lastID
	o.resync = ""
	if first {
		o.started = snap.lastID
		for instance, p := range snap.progress {
			o.counts[instance] = p.count
		}
	}
	r.health.markSynced()
	if snap.rejected > 0 {
		r.reject(errNoEntry)
	}
	r.adoptOthers(snap)
	r.applyMissedMessages(snap.messages)
	if mine := snap.progress[r.instance]; r.own.isLost(mine, acked, ackedCount, rewriting) || r.differs(snap) {
		r.rewrite(why)
	} else {
		r.own.markRead(mine.count) // messages up to there were delivered, or trimmed
	}
	signal(r.compared)
	if !first {
		r.counters.resyncs.Add(1)
	}
	r.log.Debug("compared with Redis", "why", why, "entries", len(snap.entries))
	return nil
}

// rewrite writes anew everything that this instance has. mu is held.
func (r *Store) rewrite(why string) {
	if r.closed {
		return // all is about to go
	}
	r.own.rewrite()
	r.log.Debug("rewrites everything", "why", why, "entries", len(r.own.entries))
	signal(r.wake)
}

// differs reports whether Redis has something wrong about the own entries that
// is not on its way. mu is held.
func (r *Store) differs(snap snapshot) bool {
	if r.own.isRewriting() {
		return false // what is wrong is put right by that
	}
	mine := snap.progress[r.instance]
	for place, e := range r.own.entries {
		there := snap.entries[place]
		if e.version <= mine.version && (there.Instance != r.instance || there.version != e.version) {
			return true
		}
	}
	if r.own.acked > mine.version {
		return false // some that were removed meanwhile may be there
	}
	removed := make(map[rooms.EntryKey]bool)
	for _, one := range r.own.queue {
		if one.kind == opRemove {
			removed[one.place] = true
		}
	}
	for place, e := range snap.entries {
		if _, ok := r.own.entries[place]; e.Instance == r.instance && !ok && !removed[place] {
			return true
		}
	}
	return false
}

// adoptOthers takes over what Redis has of the others. mu is held.
func (r *Store) adoptOthers(snap snapshot) {
	present := make(map[string]int)
	for _, e := range snap.entries {
		present[e.Instance]++
	}
	var puts []storedEntry
	floors := make(map[string]uint64) // by instance: the others are left as they are
	for instance, p := range snap.progress {
		if instance == r.instance {
			continue
		}
		if !r.isNewer(instance, p, snap) {
			if known := r.others.owners[instance]; known != nil {
				known.settled = false // Redis lost some of it: its owner puts that back, or it is evicted
			}
			continue
		}
		floor, settled, from := p.floor, p.state == whole || p.state == left || p.state == lost, p.floor
		if settled && p.state != left {
			floor = 0
		}
		if p.state == damaged || present[instance]+snap.rejected < p.entries {
			floor, settled, from = p.version, false, p.version+1
		}
		floors[instance] = floor
		r.others.owners[instance] = &owner{p.version, settled && floor == 0, from}
	}
	for _, e := range snap.entries {
		if floor, ok := floors[e.Instance]; ok && e.version > floor {
			puts = append(puts, e)
		}
	}
	// Puts first: somebody who moved from one instance to another never left.
	slices.SortFunc(puts, func(a, b storedEntry) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range puts {
		r.putOther(e, true)
	}
	for instance, floor := range floors {
		reason, is := rooms.Closed, snap.progress[instance].state
		if is == lost {
			reason = rooms.InstanceLost
		}
		for _, place := range r.others.placesOf(instance) {
			if _, there := snap.entries[place]; !there && (floor == 0 || r.others.entries[place].version > floor) {
				r.removeOther(place, reason)
			}
		}
		if _, leased := snap.leases[instance]; (!leased || is == left) && len(r.others.placesOf(instance)) == 0 {
			r.others.markEnded(instance, is == left) // it left nothing behind
		}
	}
}

// isNewer reports whether Redis knows of an instance what this one does not. It
// does not if its data are older than what is known already; and it does not take over an
// unknown instance without a lease, and waits for none that never had an entry.
func (r *Store) isNewer(instance string, p progress, snap snapshot) bool {
	if known := r.others.owners[instance]; known != nil {
		return p.version >= known.version && p.state != ""
	}
	till, leased := snap.leases[instance]
	return leased && !r.others.isEnded(instance, p.version) && till >= snap.now && p.state != "" && p.version > 0
}

// applyMissedMessages delivers what came while the reader had lost its place, unless
// that was before it first had one. mu is held.
func (r *Store) applyMissedMessages(messages []goredis.XMessage) {
	for _, message := range messages {
		a, err := parseAnnouncement(message)
		if err != nil {
			r.reject(err)
			continue
		}
		if _, known := r.others.counts[a.instance]; known || isAfter(message.ID, r.others.started) {
			r.applyMessage(a)
		}
	}
}

// isAfter compares two places in the stream.
func isAfter(id, other string) bool {
	ms, n, _ := strings.Cut(id, "-")
	otherMS, otherN, _ := strings.Cut(other, "-")
	return cmp.Or(cmp.Compare(number(ms), number(otherMS)), cmp.Compare(number(n), number(otherN))) > 0
}

// instances is the other instances that anything is known of, in order.
func (o *othersState) instances() []string {
	all := make(map[string]bool, len(o.owners))
	for instance := range o.owners {
		all[instance] = true
	}
	for _, e := range o.entries {
		all[e.instance] = true
	}
	out := make([]string, 0, len(all))
	for instance := range all {
		out = append(out, instance)
	}
	slices.Sort(out)
	return out
}

// placesOf is the places of an instance's entries, in order of their versions.
func (o *othersState) placesOf(instance string) []rooms.EntryKey {
	var places []rooms.EntryKey
	for place, e := range o.entries {
		if e.instance == instance {
			places = append(places, place)
		}
	}
	slices.SortFunc(places, func(a, b rooms.EntryKey) int { return cmp.Compare(o.entries[a].version, o.entries[b].version) })
	return places
}
