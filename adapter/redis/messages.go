package redis

import (
	"context"
	"strconv"
	"time"

	"rollcall/adapter"
	"rollcall/internal/retry"
	"rollcall/rooms"
)

var errUnavailable = &rooms.Refusal{Code: "unavailable", Message: "This cannot be done now. Please try again in a moment."}

// PostMessage implements rooms.Store. The message has its place in the order of all
// when Redis has it; the reader delivers it to the watcher here too.
func (r *Store) PostMessage(post rooms.ChatPost) (<-chan int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.health.down || !r.enqueueMessage(op{kind: opPost, post: post, after: r.others.lastMessage}) {
		return nil, errUnavailable
	}
	return r.own.await(r.timing.Now()), nil
}

// A waiter waits for the id of a message that is on its way to Redis.
type waiter struct {
	kept  chan int64
	since time.Time
}

// maxWait is how long the id of a message is waited for at least. After that Redis
// has lost the message.
const maxWait = time.Minute

// await waits for the id of the message that was queued last.
func (o *ownState) await(now time.Time) <-chan int64 {
	if len(o.waiting) >= maxMessages { // some of these have no message in queue or unread
		for count, one := range o.waiting {
			if now.Sub(one.since) > maxWait || len(o.waiting) >= 2*maxMessages {
				delete(o.waiting, count)
			}
		}
	}
	kept := make(chan int64, 1)
	o.waiting[o.count] = waiter{kept, now}
	return kept
}

// kept gives the id of an own message to its waiter.
func (o *ownState) kept(count uint64, id int64) {
	if one, ok := o.waiting[count]; ok {
		delete(o.waiting, count)
		one.kept <- id
	}
}

// enqueueMessage queues a message, and reports false if too much is queued, or the
// store is closed. mu is held.
func (r *Store) enqueueMessage(next op) bool {
	if r.closed || !r.own.enqueueMessage(next) {
		return false
	}
	r.wakeWriter()
	return true
}

// SignOut implements rooms.Store. Without Redis the others get it when Redis is
// back; if too much is queued they never do, and the log says so.
func (r *Store) SignOut(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.enqueueMessage(op{kind: opSignOut, user: user}) && !r.closed {
		r.log.Error("too much is waiting for Redis: the other instances do not sign a user out")
	}
}

// reloadRevoked is how often all revocations are read, besides after each resync.
const reloadRevoked = 5 * time.Minute

// Revoke refuses the tokens of a user that were issued until then, on every
// instance, for at least 24 hours. Without Redis the others get it when Redis is
// back. It reaches them before a SignOut that follows: they refuse the old token
// when the client comes to them.
func (r *Store) Revoke(user string, at time.Time) {
	r.revoked.Note(user, at.UnixMilli(), r.timing.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enqueueRevocation(adapter.Revocation{User: user, At: at.UnixMilli()})
}

// enqueueRevocation queues a revocation for Redis. mu is held.
func (r *Store) enqueueRevocation(one adapter.Revocation) {
	if !r.enqueueMessage(op{kind: opRevoke, user: one.User, revokedAt: one.At}) && !r.closed {
		r.log.Error("too much is waiting for Redis: the other instances do not hear that a user's tokens are revoked")
	}
}

// RevokedAt is when a user's tokens were revoked last, the zero time for never.
func (r *Store) RevokedAt(user string) time.Time { return r.revoked.At(user) }

// A revocationReader reads all revocations: announcements may have been missed, or
// Redis may have lost some. It belongs to one goroutine.
type revocationReader struct{ *Store }

// follow reads them again and again until ctx ends.
func (r revocationReader) follow(ctx context.Context) {
	backoff := r.newBackoff()
	for ctx.Err() == nil {
		if r.load(ctx) != nil {
			retry.Sleep(ctx, max(backoff.Next(), time.Millisecond))
			continue
		}
		backoff.Reset()
		select {
		case <-r.compared:
		case <-time.After(reloadRevoked):
		case <-ctx.Done():
		}
	}
}

// load reads the revocations that Redis has, and writes those that it lacks.
func (r revocationReader) load(ctx context.Context) error {
	reply, err := r.runScript(ctx, 5*r.timing.Call, r.scripts.revoked)
	if err != nil {
		return err
	}
	rows := texts(reply)
	stored := make(map[string]int64, len(rows)/2)
	now := r.timing.Now()
	for i := 0; i+1 < len(rows); i += 2 {
		at, err := strconv.ParseFloat(rows[i+1], 64)
		if err != nil {
			continue // another program wrote it
		}
		stored[rows[i]] = int64(at)
		r.revoked.Note(rows[i], int64(at), now)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.revoked.All() {
		if stored[one.User] < one.At && one.At >= now.Add(-adapter.KeepRevoked).UnixMilli() && !r.own.revokes(one) {
			r.enqueueRevocation(one)
		}
	}
	return nil
}

// revokes reports whether a revocation is queued.
func (o *ownState) revokes(one adapter.Revocation) bool {
	for _, queued := range o.queue {
		if queued.kind == opRevoke && queued.user == one.User && queued.revokedAt >= one.At {
			return true
		}
	}
	return false
}
