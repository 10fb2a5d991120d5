package redis

import (
	"cmp"
	"maps"
	"slices"

	"rollcall/adapter"
	"rollcall/rooms"
)

// othersState is what this instance knows of the others, and its place in the
// stream. Store.mu guards it.
type othersState struct {
	// feed has the others' changes, and all messages, for the watcher.
	feed adapter.Feed
	// entries is the others' entries, as the watcher has them or will, and sum the
	// sum of their hashes.
	entries map[rooms.EntryKey]otherEntry
	sum     uint64
	// owners is what is known of each other instance.
	owners map[string]*owner
	// ended is the instances whose end was announced: older data in Redis do not
	// bring them back.
	ended map[string]*endedInstance

	// seq, token and lastID are the number, the token and the place in the stream of
	// the announcement read last. If the next one does not follow it, something was
	// missed, or Redis has other data.
	seq    uint64
	token  string
	lastID string
	// counts is the count up to which each instance's messages were read, also of
	// instances that have ended.
	counts map[string]uint64
	// lastMessage is the highest id of a chat message that was read.
	lastMessage int64
	// started is the last announcement in the first snapshot, "" before that:
	// messages up to there are not delivered.
	started string
	// resync is why the reader must take a snapshot, "" if it need not.
	resync string
}

type otherEntry struct {
	instance string
	version  uint64
	hash     uint64
}

// An owner is what is known of another instance's entries.
type owner struct {
	// version is the last one of its log that was applied.
	version uint64
	// settled says that its entries here are exactly those of that version. If not,
	// some may be left over or missing until it has rewritten everything.
	settled bool
	// from is the version from which on its log was followed without a gap. Only a
	// rewrite that began there or later settles it.
	from uint64
}

func newOthersState() othersState {
	return othersState{
		entries: make(map[rooms.EntryKey]otherEntry),
		owners:  make(map[string]*owner),
		ended:   make(map[string]*endedInstance),
		counts:  make(map[string]uint64),
		resync:  "start",
	}
}

// requestResync makes the reader take a snapshot before it reads on.
func (o *othersState) requestResync(why string) { o.resync = cmp.Or(o.resync, why) }

// track notes the version of an announcement, and reports whether it is new.
func (o *othersState) track(a announcement) bool {
	if a.instance == "" || a.version == 0 || a.isMessage() || o.isEnded(a.instance, a.version) {
		return false
	}
	known := o.owners[a.instance]
	if known == nil {
		delete(o.ended, a.instance)
		known = &owner{settled: a.version == 1, from: a.version}
		o.owners[a.instance] = known
	}
	if a.version <= known.version {
		return false
	}
	known.version = a.version
	switch {
	case a.reset:
		known.settled = false
	case a.whole && a.floor < known.from:
		o.requestResync("another instance is known in part")
	case a.whole:
		known.settled = true
	}
	return true
}

// apply applies a change of another instance's entries that is new.
func (o *othersState) apply(a announcement) {
	switch {
	case a.whole: // entries that it has not rewritten are gone
		for _, place := range o.placesOf(a.instance) {
			if o.entries[place].version < a.floor {
				o.remove(place, rooms.Closed)
			}
		}
	case a.removed != nil:
		if o.entries[*a.removed].instance == a.instance {
			o.remove(*a.removed, a.reason)
		}
	case a.put != nil:
		o.put(*a.put, !o.owners[a.instance].settled)
	}
}

// has reports whether an entry, or a later put of it by the same instance, is there.
func (o *othersState) has(e storedEntry) bool {
	known, ok := o.entries[e.EntryKey]
	return ok && known.instance == e.Instance && known.version >= e.version
}

// put puts an entry, unless it is there. The watcher does not get one that was
// rewritten unchanged.
func (o *othersState) put(e storedEntry, isRewritten bool) {
	if o.has(e) {
		return
	}
	before, shown := o.entries[e.EntryKey]
	now := otherEntry{e.Instance, e.version, hashOf(e.Entry)}
	o.entries[e.EntryKey] = now
	o.sum += now.hash - before.hash
	if !isRewritten || !shown || before.hash != now.hash {
		o.feed.Add(rooms.Change{Entry: e.Entry})
	}
}

func (o *othersState) remove(place rooms.EntryKey, reason rooms.Reason) {
	if known, ok := o.entries[place]; ok {
		delete(o.entries, place)
		o.sum -= known.hash
		o.feed.Add(rooms.Change{Entry: rooms.Entry{EntryKey: place}, Removed: true, Reason: reason})
	}
}

// removeInstance removes an instance with all its entries.
func (o *othersState) removeInstance(instance string, reason rooms.Reason) {
	for _, place := range o.placesOf(instance) {
		o.remove(place, reason)
	}
	o.markEnded(instance, reason != rooms.InstanceLost)
}

// unsettled is how many instances are rewriting their entries.
func (o *othersState) unsettled() int {
	n := 0
	for _, known := range o.owners {
		if !known.settled {
			n++
		}
	}
	return n
}

// instances is the instances with an owner or an entry here, sorted.
func (o *othersState) instances() []string {
	all := make(map[string]bool, len(o.owners))
	for instance := range o.owners {
		all[instance] = true
	}
	for _, e := range o.entries {
		all[e.instance] = true
	}
	return slices.Sorted(maps.Keys(all))
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

// An endedInstance is what is remembered of an instance whose end was announced.
type endedInstance struct {
	version uint64 // the last one of its log that was applied
	till    int64  // its lease (epoch ms), if Redis has one again
	// inOrder says that it ended itself: then nothing brings it back. renewed says
	// that its lease was renewed since, so it runs.
	inOrder, renewed bool
}

// maxEnded bounds how many ended instances, and their counts, are remembered.
const maxEnded = 1000

// markEnded forgets what is known of an instance, and remembers that it has ended.
func (o *othersState) markEnded(instance string, inOrder bool) {
	known, gone := o.owners[instance], o.ended[instance]
	if known == nil && gone == nil && !inOrder {
		return // nothing was known of it
	}
	if gone == nil {
		for old := range o.ended {
			if len(o.ended) < maxEnded {
				break
			}
			delete(o.ended, old)
			delete(o.counts, old)
		}
		gone = &endedInstance{}
		o.ended[instance] = gone
	}
	if known != nil {
		gone.version = known.version
	}
	gone.till, gone.renewed, gone.inOrder = 0, false, gone.inOrder || inOrder
	delete(o.owners, instance)
}

// observeLeases looks for ended instances whose lease is renewed: with older
// data, Redis does not know that they were evicted, and so they do not know it
// either. An instance that ended in order renews nothing: its lease is as old as
// the data.
func (o *othersState) observeLeases(others []otherLease) {
	leases := make(map[string]int64, len(others))
	for _, other := range others {
		leases[other.instance] = other.end()
	}
	for instance, gone := range o.ended {
		till := leases[instance]
		gone.renewed = gone.renewed || gone.till != 0 && till > gone.till
		gone.till = till
	}
}

// someEndedHasLease reports whether Redis, which has older data then, has a lease of
// an instance that has ended.
func (o *othersState) someEndedHasLease() bool {
	for _, gone := range o.ended {
		if gone.till != 0 {
			return true
		}
	}
	return false
}

// isEnded reports whether an instance has ended, judged by a version of its log. If
// it runs after all, only versions before the last known one count as ended.
func (o *othersState) isEnded(instance string, version uint64) bool {
	gone := o.ended[instance]
	switch {
	case gone == nil:
		return false
	case gone.renewed && !gone.inOrder:
		return version < gone.version
	}
	return gone.inOrder || version <= gone.version
}
