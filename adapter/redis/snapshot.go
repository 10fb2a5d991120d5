package redis

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/rooms"
)

// A snapshot is what Redis had at one moment.
type snapshot struct {
	now      int64
	seq      uint64
	token    string // of the last announcement
	lastID   string
	leases   map[string]int64 // when each ends
	progress map[string]progress
	entries  map[rooms.EntryKey]storedEntry
	messages []goredis.XMessage // messages since the place that the reader lost, or longer
	rejected int                // how many values are no entries
}

// progress is what Redis has of an instance's log and messages.
type progress struct {
	version uint64
	state   state
	// floor is the version of the reset during a rewrite: only younger entries in
	// Redis count then.
	floor   uint64
	count   uint64 // of messages
	entries int    // that there should be
}

// A state is the state of an instance's entries in Redis.
type state string

// The states. Without one Redis knows nothing of an instance.
const (
	whole   state = "whole"   // they are the result of its log up to the version
	partial state = "partial" // it is rewriting them
	damaged state = "damaged" // another program changed some: it has to rewrite them
	left    state = "left"    // it ended in order
	lost    state = "lost"    // it was evicted: if it runs it has to rewrite them
)

func parseSnapshot(reply any) (snapshot, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 9 {
		return snapshot{}, fmt.Errorf("redis: a snapshot of the form %T", reply)
	}
	s := snapshot{
		now:      integer(parts[0]),
		seq:      uint64(integer(parts[1])),
		token:    text(parts[2]),
		lastID:   text(parts[3]),
		leases:   make(map[string]int64),
		progress: make(map[string]progress),
		entries:  make(map[rooms.EntryKey]storedEntry),
	}
	leases := texts(parts[4])
	for i := 0; i+1 < len(leases); i += 2 {
		s.leases[leases[i]], _ = strconv.ParseInt(leases[i+1], 10, 64)
	}
	rows, _ := parts[5].([]any)
	for _, row := range rows {
		if p := texts(row); len(p) == 6 {
			entries, _ := strconv.Atoi(p[5])
			s.progress[p[0]] = progress{number(p[1]), state(p[2]), number(p[3]), number(p[4]), entries}
		}
	}
	s.addEntries(texts(parts[6]), texts(parts[7]))
	rows, _ = parts[8].([]any)
	for _, row := range rows {
		if pair, _ := row.([]any); len(pair) == 2 {
			s.messages = append(s.messages, goredis.XMessage{ID: text(pair[0]), Values: valuesOf(pair[1])})
		}
	}
	return s, nil
}

// addEntries adds the entries of both hashes. A value that is no entry was written
// by another program, and is left out.
func (s *snapshot) addEntries(shown, rest []string) {
	add := func(place rooms.EntryKey, ok bool, value string) {
		e, err := parseEntry(place, value)
		if err != nil || !ok {
			s.rejected++
			return
		}
		s.entries[place] = e
	}
	for i := 0; i+1 < len(shown); i += 2 {
		add(rooms.EntryKey{List: rooms.Online, Key: shown[i]}, true, shown[i+1])
	}
	for i := 0; i+1 < len(rest); i += 2 {
		place, ok := parseAddress(rest[i])
		add(place, ok, rest[i+1])
	}
}

// adopt takes over what Redis has of all instances but self. It returns an error for
// each entry that cannot be shown to clients.
func (o *othersState) adopt(snap snapshot, self string) (rejected []error) {
	present := make(map[string]int)
	for _, e := range snap.entries {
		present[e.Instance]++
	}
	floors := make(map[string]uint64) // by instance that is taken over
	for instance, p := range snap.progress {
		if instance == self {
			continue
		}
		if !o.isNewer(instance, p, snap) {
			if known := o.owners[instance]; known != nil {
				known.settled = false // Redis lost data: the owner rewrites them, or is evicted
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
		o.owners[instance] = &owner{p.version, settled && floor == 0, from}
	}
	var puts []storedEntry
	for _, e := range snap.entries {
		if floor, ok := floors[e.Instance]; ok && e.version > floor && !o.has(e) {
			puts = append(puts, e)
		}
	}
	// Puts come first: a user who moved from one instance to another never left.
	slices.SortFunc(puts, func(a, b storedEntry) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range puts {
		if err := checkEntry(e.Entry); err != nil {
			rejected = append(rejected, err)
			continue
		}
		o.put(e, true)
	}
	for instance, floor := range floors {
		o.removeMissing(instance, floor, snap)
	}
	return rejected
}

// removeMissing removes the entries of an instance above floor that are not in a
// snapshot, and marks the instance as ended if it has no lease and no entries.
func (o *othersState) removeMissing(instance string, floor uint64, snap snapshot) {
	reason, is := rooms.Closed, snap.progress[instance].state
	if is == lost {
		reason = rooms.InstanceLost
	}
	for _, place := range o.placesOf(instance) {
		if _, there := snap.entries[place]; !there && (floor == 0 || o.entries[place].version > floor) {
			o.remove(place, reason)
		}
	}
	if _, leased := snap.leases[instance]; (!leased || is == left) && len(o.placesOf(instance)) == 0 {
		o.markEnded(instance, is == left)
	}
}

// isNewer reports whether Redis' data of an instance are to be taken over: they are
// not older than what is known already. An unknown instance needs a lease and at
// least one change.
func (o *othersState) isNewer(instance string, p progress, snap snapshot) bool {
	if known := o.owners[instance]; known != nil {
		return p.version >= known.version && p.state != ""
	}
	till, leased := snap.leases[instance]
	return leased && !o.isEnded(instance, p.version) && till >= snap.now && p.state != "" && p.version > 0
}

// differs reports whether Redis has other entries of this instance, self, than it
// should have by what it has confirmed.
func (o *ownState) differs(snap snapshot, self string) bool {
	if o.isRewriting() {
		return false // the rewrite repairs it
	}
	mine := snap.progress[self]
	for place, e := range o.entries {
		there := snap.entries[place]
		if e.version <= mine.version && (there.Instance != self || there.version != e.version) {
			return true
		}
	}
	if o.acked > mine.version {
		return false // some that were removed meanwhile may be there
	}
	removed := make(map[rooms.EntryKey]bool)
	for _, one := range o.queue {
		if one.kind == opRemove {
			removed[one.place] = true
		}
	}
	for place, e := range snap.entries {
		if _, ok := o.entries[place]; e.Instance == self && !ok && !removed[place] {
			return true
		}
	}
	return false
}

// number parses a number, 0 if it is none.
func number(text string) uint64 { n, _ := strconv.ParseUint(text, 10, 64); return n }

// integer and text convert an element of a reply, 0 and "" if it has another type.
func integer(reply any) int64 { n, _ := reply.(int64); return n }
func text(reply any) string   { s, _ := reply.(string); return s }

func valuesOf(fields any) map[string]any {
	list, values := texts(fields), make(map[string]any)
	for i := 0; i+1 < len(list); i += 2 {
		values[list[i]] = list[i+1]
	}
	return values
}

func texts(reply any) []string {
	list, _ := reply.([]any)
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = text(v)
	}
	return out
}
