package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/rooms"
)

// othersState is what this instance knows of the others', and how far it has
// read. Store.mu guards it.
type othersState struct {
	// entries is the others' entries, of which the watcher was told: whose, and
	// which put. sum is the sum of their hashes.
	entries map[rooms.EntryKey]otherEntry
	sum     uint64
	// owners is what is known of each other instance.
	owners map[string]*owner

	// ended is the instances whose end was announced: older data do not bring them
	// back.
	ended map[string]*endedInstance

	// seq, token and lastID are the announcement read last: its number, its
	// token, and its place in the stream. If the next one does not follow it,
	// something was missed, or Redis has other data.
	seq    uint64
	token  string
	lastID string
	// counts is up to where each instance's messages were read,
	// also of those that are gone.
	counts map[string]uint64
	// said is the highest id of a chat message that was read.
	said int64
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
	// version is up to where its log was followed. What comes again is known.
	version uint64
	// settled says that its entries are exactly those at that version. If not,
	// some that are gone may still be shown, or some not yet: it is putting
	// everything back.
	settled bool
	// from is the version from which on its log was followed. Only a putting back
	// that began there or later leaves nothing unknown.
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
func (o *othersState) requestResync(why string) {
	if o.resync == "" {
		o.resync = why
	}
}

// maxRead is how many announcements one call brings at most.
const maxRead = 1000

// read follows the announcements until ctx ends.
func (r *Store) read(ctx context.Context) {
	backoff := r.newBackoff()
	for ctx.Err() == nil {
		why, from := r.tellAll()
		var err error
		if why != "" {
			err = r.resync(ctx, why)
		} else {
			err = r.readNext(ctx, from)
		}
		if err != nil {
			backoff.Wait(ctx)
			continue
		}
		backoff.Reset()
	}
}

// tellAll tells the watcher all that waits. Only the reader does: so the goroutine
// of the lease never waits for the watcher. It returns why the reader has to take a
// snapshot next, or from where on it reads.
func (r *Store) tellAll() (resync, from string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feed.Flush(&r.mu)
	return r.others.resync, r.others.lastID
}

// readNext waits for the announcements behind one, and takes them.
func (r *Store) readNext(ctx context.Context, from string) error {
	// Waiting is no latency: it is not counted as a call's time.
	ctx, cancel := context.WithTimeout(ctx, r.timing.Block+r.timing.Call)
	defer cancel()
	messages, err := r.server.readStream(ctx, r.prefix+":stream", from, maxRead, r.timing.Block)
	if err == nil && len(messages) == 0 {
		return nil // no news
	}
	r.counters.called(0, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.others.requestResync("the connection broke")
		return err
	}
	for _, message := range messages {
		if !r.applyAnnouncement(message) {
			return nil
		}
	}
	return nil
}

// applyAnnouncement applies one announcement. It reports whether the reader may go on:
// false if it has to start afresh. mu is held.
func (r *Store) applyAnnouncement(message goredis.XMessage) bool {
	a, err := parseAnnouncement(message)
	if err == nil && a.put != nil && a.instance != r.instance {
		err = checkEntry(a.put.Entry)
	}
	o := &r.others
	if err != nil {
		r.reject(err)
	}
	switch {
	case errors.Is(err, errNoAnnouncement):
		o.lastID = message.ID
		return o.resync == ""
	case a.format != r.format:
		o.requestResync("announcements have another format") // which waits until they have not
	case !a.follows(o.seq, o.token):
		o.requestResync("announcements are missing")
	}
	if o.resync != "" {
		return false
	}
	o.seq, o.token, o.lastID = a.seq, a.token, message.ID
	if err != nil {
		return true // what it says is left out
	}
	switch {
	case a.evicted != "" && a.evicted == r.instance:
		r.rewrite("the others evicted this instance")
	case a.evicted != "":
		r.removeInstance(a.evicted, a.reason)
	case a.isMessage():
		r.applyMessage(a)
	case a.instance != r.instance && o.track(a):
		r.applyOther(a)
	}
	return true
}

// track notes the version of an announcement, and reports whether it is news.
func (o *othersState) track(a announcement) bool {
	if a.instance == "" || a.version == 0 || a.isMessage() {
		return false
	}
	if o.isEnded(a.instance, a.version) {
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
	case a.reset != "":
		known.settled = false
	case a.whole != "" && a.floor < known.from:
		o.requestResync("another instance is known in part")
	case a.whole != "":
		known.settled = true
	}
	return true
}

// applyOther applies a change of another instance's entries. mu is held.
func (r *Store) applyOther(a announcement) {
	switch {
	case a.whole != "":
		r.removeStale(a.whole, a.floor)
	case a.removed != nil:
		if r.others.entries[*a.removed].instance == a.instance {
			r.removeOther(*a.removed, a.reason)
		}
	case a.put != nil:
		r.putOther(*a.put, !r.others.owners[a.instance].settled)
	}
}

// removeStale removes what an instance has not rewritten. mu is held.
func (r *Store) removeStale(instance string, floor uint64) {
	for _, place := range r.others.placesOf(instance) {
		if r.others.entries[place].version < floor {
			r.removeOther(place, rooms.Closed)
		}
	}
}

// putOther puts an entry of another instance, unless it is there. What was put
// back as it was is not told. mu is held.
func (r *Store) putOther(e storedEntry, isBack bool) {
	if e.Instance == r.instance {
		return
	}
	if known, ok := r.others.entries[e.EntryKey]; ok && known.instance == e.Instance && known.version >= e.version {
		return
	}
	if err := checkEntry(e.Entry); err != nil {
		r.reject(err)
		return
	}
	before, shown := r.others.entries[e.EntryKey]
	now := otherEntry{e.Instance, e.version, hashOf(e.Entry)}
	r.others.entries[e.EntryKey] = now
	r.others.sum += now.hash - before.hash
	if !isBack || !shown || before.hash != now.hash {
		r.feed.Add(rooms.Change{Entry: e.Entry})
	}
}

// removeOther removes an entry of another instance. mu is held.
func (r *Store) removeOther(place rooms.EntryKey, reason rooms.Reason) {
	if known, ok := r.others.entries[place]; ok {
		delete(r.others.entries, place)
		r.others.sum -= known.hash
		r.feed.Add(rooms.Change{Entry: rooms.Entry{EntryKey: place}, Removed: true, Reason: reason})
	}
}

// applyMessage delivers chat messages, and sign-outs by other instances:
// this one's own sign-outs have been told. Nothing is told twice. mu is held.
func (r *Store) applyMessage(a announcement) {
	o := &r.others
	if a.count > 0 {
		if a.count <= o.counts[a.instance] {
			return
		}
		o.counts[a.instance] = a.count
	}
	if a.instance == r.instance {
		r.own.markRead(a.count)
	}
	switch {
	case a.said != nil:
		o.said = max(o.said, a.said.ID)
		r.feed.Add(rooms.Change{Message: a.said})
		if a.instance == r.instance {
			r.own.kept(a.count, a.said.ID)
		}
	case a.kept > 0 && a.instance == r.instance:
		r.own.kept(a.count, a.kept)
	case a.revoked != nil:
		r.revoked.Note(a.revoked.User, a.revoked.At, r.timing.Now())
	case a.signOut != "" && a.instance != r.instance:
		r.feed.Add(rooms.Change{SignOut: a.signOut})
	}
}

// removeInstance removes all that another instance has. mu is held.
func (r *Store) removeInstance(instance string, reason rooms.Reason) {
	for _, place := range r.others.placesOf(instance) {
		r.removeOther(place, reason)
	}
	r.others.markEnded(instance, reason != rooms.InstanceLost)
}

// lag is how many announcements the reader is behind. mu is held.
func (o *othersState) lag(seq uint64) uint64 { return seq - min(seq, o.seq) }
