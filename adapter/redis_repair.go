package adapter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"rollcall/rooms"
)

// A repair compares everything with Redis at one moment, after which the
// reader reads on from there. It is for a reader that lost its place, and for
// a Redis that lost its data or got older ones back.

// A snapshot is what Redis had at that moment.
type snapshot struct {
	seq      uint64
	lastID   string
	server   string
	leases   map[string]bool // the instances that have one
	progress map[string]progress
	entries  map[rooms.Place]storedEntry
	spoken   []announcement // what was said since the place that the reader lost
}

// progress is how far Redis is with an instance's changes.
type progress struct {
	version uint64
	state   string
	entries int // that there should be
}

// The states of an instance's entries in Redis.
const (
	whole = "whole" // nothing is missing
	left  = "left"  // it closed in order
	lost  = "lost"  // it was given up, and has not put back everything since
)

// repair takes a snapshot and makes both sides right.
func (r *Redis) repair(ctx context.Context, why string) error {
	r.mu.Lock()
	// Up to here nothing is on its way: what the snapshot lacks is lost.
	confirmed := r.own.acked
	args := make([]any, 0, 1+len(r.others.heard))
	args = append(args, r.others.lastID)
	for instance := range r.owners() {
		args = append(args, instance)
	}
	r.mu.Unlock()
	reply, err := r.run(ctx, 5*r.timing.Call, snapshotScript, args...)
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
	r.others.seq, r.others.lastID, r.others.server = snap.seq, snap.lastID, snap.server
	r.others.repair = ""
	r.health.repaired()
	r.restoreOwn(snap, confirmed)
	r.adoptOthers(snap)
	for _, a := range snap.spoken {
		r.hearSpoken(a)
	}
	signal(r.compared)
	if why != "start" {
		r.counters.repairs.Add(1)
	}
	r.log.Debug("compared with Redis", "why", why, "entries", len(snap.entries))
	return nil
}

// owners is the other instances that anything is known of. mu is held.
func (r *Redis) owners() map[string]bool {
	owners := make(map[string]bool, len(r.others.heard))
	for instance := range r.others.heard {
		owners[instance] = true
	}
	for _, e := range r.others.entries {
		owners[e.instance] = true
	}
	return owners
}

// restoreOwn queues what Redis has wrong about our own sockets. mu is held.
func (r *Redis) restoreOwn(snap snapshot, confirmed uint64) {
	mine := snap.progress[r.instance]
	due := max(confirmed, mine.version) // later ones are still on their way
	// Unless Redis has evidently lost something: then what seems on its way may
	// have been there already, and its confirmation come late. Twice is harmless.
	evident := mine.version < confirmed || mine.state != whole
	var missing []ownEntry
	for place, e := range r.own.entries {
		if there := snap.entries[place]; (evident || e.version <= due) && (there.Instance != r.instance || there.version != e.version) {
			missing = append(missing, e)
		}
	}
	var leftover []rooms.Place
	queued := r.own.queued()
	for place, e := range snap.entries {
		if _, ok := r.own.entries[place]; e.Instance == r.instance && !ok && (evident || !queued[place]) {
			leftover = append(leftover, place)
		}
	}
	if len(missing)+len(leftover) == 0 && !evident {
		return
	}
	if r.closed {
		return // all is about to go
	}
	slices.SortFunc(missing, func(a, b ownEntry) int { return cmp.Compare(a.version, b.version) })
	r.own.enqueue(op{kind: opPartial})
	for _, e := range missing {
		r.own.put(e.Entry, e.active)
	}
	for _, place := range leftover {
		r.own.enqueue(op{kind: opRemove, place: place, reason: rooms.Closed})
	}
	r.own.enqueue(op{kind: opWhole})
	signal(r.wake)
}

// adoptOthers makes the replica of the others' entries what Redis has, for
// each instance that Redis has whole. An instance whose data Redis lost will
// put it back; until it did, or is given up, we keep what we have. mu is held.
func (r *Redis) adoptOthers(snap snapshot) {
	owners, present := r.owners(), make(map[string]int)
	for _, e := range snap.entries {
		owners[e.Instance] = true
		present[e.Instance]++
	}
	delete(owners, r.instance)
	settled := make(map[string]bool, len(owners))
	clear(r.others.unsettled)
	for instance := range owners {
		p := snap.progress[instance]
		if p.state == left || p.state == lost || p.state == whole && p.version >= r.others.heard[instance] && present[instance] >= p.entries {
			settled[instance] = true
			r.others.heard[instance] = p.version
		} else {
			r.others.unsettled[instance] = true
		}
	}
	var puts []storedEntry
	for _, e := range snap.entries {
		if settled[e.Instance] {
			puts = append(puts, e)
		}
	}
	// Puts first: somebody who moved from one instance to another never left.
	slices.SortFunc(puts, func(a, b storedEntry) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range puts {
		r.putOther(e)
	}
	for place, known := range r.others.entries {
		if _, ok := snap.entries[place]; ok || !settled[known.instance] {
			continue
		}
		reason := rooms.Closed
		if snap.progress[known.instance].state == lost {
			reason = rooms.InstanceLost
		}
		r.removeOther(place, reason)
	}
	for instance := range owners { // forget who left nothing behind
		if settled[instance] && !snap.leases[instance] {
			delete(r.others.heard, instance)
		}
	}
}

func parseSnapshot(reply any) (snapshot, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 8 {
		return snapshot{}, fmt.Errorf("redis: a snapshot of the form %T", reply)
	}
	seq, _ := parts[0].(int64)
	s := snapshot{
		seq:      uint64(seq),
		leases:   make(map[string]bool),
		progress: make(map[string]progress),
		entries:  make(map[rooms.Place]storedEntry),
	}
	s.lastID, _ = parts[1].(string)
	s.server, _ = parts[2].(string)
	for _, instance := range texts(parts[3]) {
		s.leases[instance] = true
	}
	rows, _ := parts[4].([]any)
	for _, row := range rows {
		if p := texts(row); len(p) == 4 {
			version, _ := strconv.ParseUint(p[1], 10, 64) // our own script wrote it
			entries, _ := strconv.Atoi(p[3])
			s.progress[p[0]] = progress{version, p[2], entries}
		}
	}
	// What is no entry was written by somebody else, and is not shown.
	add := func(place rooms.Place, value string) {
		if e, err := parseEntry(place, value); err == nil {
			s.entries[place] = e
		}
	}
	shown := texts(parts[5])
	for i := 0; i+1 < len(shown); i += 2 {
		add(rooms.Place{List: rooms.Online, Key: shown[i]}, shown[i+1])
	}
	rest := texts(parts[6])
	for i := 0; i+1 < len(rest); i += 2 {
		if place, ok := parseAddress(rest[i]); ok {
			add(place, rest[i+1])
		}
	}
	rows, _ = parts[7].([]any)
	for _, row := range rows {
		fields, values := texts(row), make(map[string]any)
		for i := 0; i+1 < len(fields); i += 2 {
			values[fields[i]] = fields[i+1]
		}
		if a, err := parseAnnouncement(values); err == nil {
			s.spoken = append(s.spoken, a)
		}
	}
	return s, nil
}

func texts(reply any) []string {
	list, _ := reply.([]any)
	out := make([]string, len(list))
	for i, v := range list {
		out[i], _ = v.(string)
	}
	return out
}
