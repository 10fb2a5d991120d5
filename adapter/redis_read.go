package adapter

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"

	"rollcall/rooms"
)

// othersState is what this instance knows of the others', and how far it has
// read. Redis.mu guards it.
type othersState struct {
	// entries is the others' entries in the replica: whose, and which put.
	entries map[rooms.Place]otherEntry
	// heard is the last version heard of each instance. If Redis knows less,
	// Redis has lost something.
	heard map[string]uint64
	// unsettled is the instances whose entries Redis does not have whole yet.
	unsettled map[string]bool

	// seq and lastID are the announcement read last: its number, and its place
	// in the stream. The next one's number is seq+1, or something was missed.
	seq    uint64
	lastID string
	// said is the highest id of a message that was heard.
	said int64
	// server is the Redis process that this comes from.
	server string
	// repair is why the reader must take a snapshot, "" if it need not.
	repair string
}

type otherEntry struct {
	instance string
	version  uint64
}

func newOthersState() othersState {
	return othersState{
		entries:   make(map[rooms.Place]otherEntry),
		heard:     make(map[string]uint64),
		unsettled: make(map[string]bool),
		repair:    "start",
	}
}

// wantRepair makes the reader take a snapshot before it reads on.
func (o *othersState) wantRepair(why string) {
	if o.repair == "" {
		o.repair = why
	}
}

// maxRead is how many announcements one call brings at most.
const maxRead = 1000

// read follows the announcements until ctx ends.
func (r *Redis) read(ctx context.Context) {
	backoff := r.newBackoff()
	for ctx.Err() == nil {
		r.mu.Lock()
		why := r.others.repair
		r.mu.Unlock()
		var err error
		if why != "" {
			err = r.repair(ctx, why)
		} else {
			err = r.readOn(ctx)
		}
		if err != nil {
			sleep(ctx, backoff.pause())
			continue
		}
		backoff.reset()
	}
}

// readOn waits for the next announcements and takes them.
func (r *Redis) readOn(ctx context.Context) error {
	r.mu.Lock()
	from := r.others.lastID
	r.mu.Unlock()
	// Waiting is no latency: it is not counted as a call's time.
	ctx, cancel := context.WithTimeout(ctx, r.timing.Block+r.timing.Call)
	defer cancel()
	messages, err := r.server.readStream(ctx, r.prefix+":stream", from, maxRead, r.timing.Block)
	if err == nil && len(messages) == 0 {
		return nil // no news
	}
	r.counters.called(0, err)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.others.wantRepair("the connection broke")
		return err
	}
	for _, message := range messages {
		if !r.take(message) {
			return nil
		}
	}
	return nil
}

// An announcement is one step of the shared state.
type announcement struct {
	seq      uint64
	put      *storedEntry
	removed  *rooms.Place
	said     *rooms.Said
	signOut  string // the user who is to be signed out
	revoked  *revocation
	gone     string // the instance that is gone with all its entries
	whole    string // the instance whose entries are all there again
	instance string // whose entry was removed, or who signed out
	version  uint64
	reason   rooms.Reason
}

func parseAnnouncement(values map[string]any) (announcement, error) {
	field := func(name string) string { s, _ := values[name].(string); return s }
	seq, err := strconv.ParseUint(field("n"), 10, 64)
	if err != nil {
		return announcement{}, errNoEntry
	}
	version, _ := strconv.ParseUint(field("v"), 10, 64) // not all have one
	a := announcement{
		seq:      seq,
		signOut:  field("out"),
		gone:     field("gone"),
		whole:    field("whole"),
		instance: field("i"),
		version:  version,
		reason:   rooms.Reason(field("why")),
	}
	switch {
	case field("rev") != "":
		at, err := strconv.ParseInt(field("at"), 10, 64)
		if err != nil {
			return announcement{}, errNoEntry
		}
		a.revoked = &revocation{field("rev"), at}
	case field("put") != "":
		place, ok := parseAddress(field("put"))
		e, err := parseEntry(place, field("e"))
		if err != nil || !ok {
			return announcement{}, errNoEntry
		}
		a.put = &e
	case field("del") != "":
		place, ok := parseAddress(field("del"))
		if !ok {
			return announcement{}, errNoEntry
		}
		a.removed = &place
	case field("m") != "":
		said, err := parseSaid(field("said"), field("m"))
		if err != nil {
			return announcement{}, err
		}
		a.said = &said
	}
	return a, nil
}

// take applies one announcement. It reports whether the reader may go on:
// false if it has to start afresh.
func (r *Redis) take(message redis.XMessage) bool {
	a, err := parseAnnouncement(message.Values)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.others.wantRepair("an announcement is unreadable")
	case a.seq != r.others.seq+1:
		r.others.wantRepair("announcements are missing")
	case a.gone == r.instance && !r.closed:
		r.others.wantRepair("the others gave this instance up")
	case a.whole != "" && r.others.unsettled[a.whole]:
		r.others.wantRepair("another instance is whole again")
	}
	if r.others.repair != "" {
		return false
	}
	r.others.seq, r.others.lastID = a.seq, message.ID
	switch {
	case a.gone != "":
		r.drop(a.gone, a.reason)
	case a.whole != "" && a.whole != r.instance:
		r.others.hear(a.whole, a.version)
	case a.removed != nil && a.instance != r.instance:
		r.others.hear(a.instance, a.version)
		r.removeOther(*a.removed, a.reason)
	case a.put != nil && a.put.Instance != r.instance:
		r.others.hear(a.put.Instance, a.put.version)
		r.putOther(*a.put)
	default:
		r.hearSpoken(a)
	}
	return true
}

func (o *othersState) hear(instance string, version uint64) {
	o.heard[instance] = max(o.heard[instance], version)
}

// putOther puts an entry of another instance, unless it is there. mu is held.
func (r *Redis) putOther(e storedEntry) {
	if known, ok := r.others.entries[e.Place]; ok && known.instance == e.Instance && known.version >= e.version {
		return
	}
	r.others.entries[e.Place] = otherEntry{e.Instance, e.version}
	r.replica.put(e.Entry)
}

// removeOther removes an entry of another instance. mu is held.
func (r *Redis) removeOther(place rooms.Place, reason rooms.Reason) {
	if _, ok := r.others.entries[place]; ok {
		delete(r.others.entries, place)
		r.replica.remove(place, reason)
	}
}

// hearSpoken tells what anybody said, and whom another instance signed out:
// this one's own sign-outs have been told. mu is held.
func (r *Redis) hearSpoken(a announcement) {
	switch {
	case a.said != nil:
		r.others.said = max(r.others.said, a.said.ID)
		r.replica.tell(rooms.Change{Said: a.said})
	case a.revoked != nil:
		r.revoked.note(a.revoked.user, a.revoked.at, r.timing.Now())
	case a.signOut != "" && a.instance != r.instance:
		r.replica.tell(rooms.Change{SignOut: a.signOut})
	}
}

// drop removes all that another instance has. mu is held.
func (r *Redis) drop(instance string, reason rooms.Reason) {
	for place, e := range r.others.entries {
		if e.instance == instance {
			r.removeOther(place, reason)
		}
	}
	delete(r.others.heard, instance)
	delete(r.others.unsettled, instance)
}

// lag is how many announcements the reader is behind. mu is held.
func (o *othersState) lag(seq uint64) uint64 { return seq - min(seq, o.seq) }
