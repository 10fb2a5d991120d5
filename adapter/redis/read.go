package redis

import (
	"cmp"
	"context"
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/rooms"
)

// maxRead is how many announcements one call returns at most.
const maxRead = 1000

// A reader applies the others' changes and all messages from Redis. It belongs to
// one goroutine.
type reader struct{ *Store }

// read follows the announcements until ctx ends.
func (r reader) read(ctx context.Context) {
	backoff := r.newBackoff()
	for ctx.Err() == nil {
		why, from := r.flush()
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

// flush calls the watcher with all that waits. Only the reader does, so that the
// goroutine of the lease never waits for the watcher. It returns why the reader has
// to take a snapshot next, "" if it need not, and from where on it reads.
func (r reader) flush() (resync, from string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others.feed.Flush(&r.mu)
	return r.others.resync, r.others.lastID
}

// readNext waits for the announcements behind one, and applies them.
func (r reader) readNext(ctx context.Context, from string) error {
	// The wait is not counted as a call's time: it is no latency.
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

// applyAnnouncement applies one announcement. It reports false if the reader has to
// take a snapshot before it reads on. mu is held.
func (r reader) applyAnnouncement(message goredis.XMessage) bool {
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
	case a.format != r.scripts.format:
		o.requestResync("announcements have another format") // which waits until they have not
	case !a.follows(o.seq, o.token):
		o.requestResync("announcements are missing")
	}
	if o.resync != "" {
		return false
	}
	o.seq, o.token, o.lastID = a.seq, a.token, message.ID
	if err != nil {
		return true // its content is left out
	}
	switch {
	case a.evicted != "" && a.evicted == r.instance:
		r.rewrite("the others evicted this instance")
	case a.evicted != "":
		o.removeInstance(a.evicted, a.reason)
	case a.isMessage():
		r.applyMessage(a)
	case a.instance != r.instance && o.track(a):
		o.apply(a)
	}
	return true
}

// applyMessage delivers chat messages, and sign-outs by other instances: its own
// took effect at once. Nothing is delivered twice. mu is held.
func (r reader) applyMessage(a announcement) {
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
	case a.message != nil:
		o.lastMessage = max(o.lastMessage, a.message.ID)
		o.feed.Add(rooms.Change{Message: a.message})
		if a.instance == r.instance {
			r.own.kept(a.count, a.message.ID)
		}
	case a.kept > 0 && a.instance == r.instance:
		r.own.kept(a.count, a.kept)
	case a.revoked != nil:
		r.revoked.Note(a.revoked.User, a.revoked.At, r.timing.Now())
	case a.signOut != "" && a.instance != r.instance:
		o.feed.Add(rooms.Change{SignOut: a.signOut})
	}
}

// resync compares everything with Redis at one moment, repairs both sides, and lets
// the reader read on from there. It is for a reader that lost its place, and for a
// Redis that lost data or got older data back.
func (r reader) resync(ctx context.Context, why string) error {
	before := r.progress()
	r.mu.Lock()
	args := []any{r.newToken(), r.others.lastID, r.others.token, r.instance}
	for _, instance := range r.others.instances() {
		args = append(args, instance)
	}
	r.mu.Unlock()
	reply, err := r.runScript(ctx, 5*r.timing.Call, r.scripts.snapshot, args...)
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
	if snap.rejected > 0 {
		r.reject(errNoEntry)
	}
	for _, err := range o.adopt(snap, r.instance) {
		r.reject(err)
	}
	r.applyMissedMessages(snap.messages)
	mine := snap.progress[r.instance]
	if r.own.isLost(mine, before) || r.own.differs(snap, r.instance) {
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

// applyMissedMessages delivers the messages from the time without a place, except
// those from before the first snapshot. mu is held.
func (r reader) applyMissedMessages(messages []goredis.XMessage) {
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

// isAfter reports whether a place in the stream is behind another one.
func isAfter(id, other string) bool {
	ms, n, _ := strings.Cut(id, "-")
	otherMS, otherN, _ := strings.Cut(other, "-")
	return cmp.Or(cmp.Compare(number(ms), number(otherMS)), cmp.Compare(number(n), number(otherN))) > 0
}
