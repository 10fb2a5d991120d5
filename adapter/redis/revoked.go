package redis

import (
	"context"
	"strconv"
	"time"

	"rollcall/adapter"
	"rollcall/internal/retry"
)

// This file is whose tokens are revoked. A revocation is written and announced
// in one step, like a sign-out and in the same order: when a client that was
// signed out comes to another instance with its old token, that one knows.

// reloadRevoked is how often the revocations are read whole, beside after each
// comparison with Redis.
const reloadRevoked = 5 * time.Minute

// Revoke refuses the tokens of a user that were issued until then, on every
// instance, for at least 24 hours. Without Redis the others follow when it is
// back.
func (r *Store) Revoke(user string, at time.Time) {
	r.revoked.Note(user, at.UnixMilli(), r.timing.Now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revokeLocked(adapter.Revocation{User: user, At: at.UnixMilli()})
}

// revokeLocked queues a revocation for Redis. mu is held.
func (r *Store) revokeLocked(one adapter.Revocation) {
	if r.closed {
		return
	}
	if !r.own.enqueueMessage(op{kind: opRevoke, user: one.User, revokedAt: one.At}) {
		r.log.Error("too much is waiting for Redis: the other instances do not hear that a user's tokens are revoked")
		return
	}
	r.wakeWriter()
}

// RevokedAt is when a user's tokens were revoked last, the zero time for never.
func (r *Store) RevokedAt(user string) time.Time { return adapter.AsTime(r.revoked.At(user)) }

// followRevoked reads the revocations whole until ctx ends: announcements may
// have been missed, or Redis have lost some.
func (r *Store) followRevoked(ctx context.Context) {
	backoff := r.newBackoff()
	for ctx.Err() == nil {
		if r.loadRevoked(ctx) != nil {
			retry.Sleep(ctx, max(backoff.Next(), time.Millisecond))
			continue
		}
		backoff.Reset()
		timer := time.NewTimer(reloadRevoked)
		select {
		case <-r.compared:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// loadRevoked reads the revocations that Redis has, and writes those that it
// lacks.
func (r *Store) loadRevoked(ctx context.Context) error {
	reply, err := r.run(ctx, 5*r.timing.Call, r.scripts.revoked)
	if err != nil {
		return err
	}
	rows := texts(reply)
	stored := make(map[string]int64, len(rows)/2)
	now := r.timing.Now()
	for i := 0; i+1 < len(rows); i += 2 {
		at, err := strconv.ParseFloat(rows[i+1], 64)
		if err != nil {
			continue // somebody else wrote it
		}
		stored[rows[i]] = int64(at)
		r.revoked.Note(rows[i], int64(at), now)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.revoked.All() {
		if stored[one.User] < one.At && one.At >= now.Add(-adapter.KeepRevoked).UnixMilli() && !r.own.revokes(one) {
			r.revokeLocked(one)
		}
	}
	return nil
}

// revokes reports whether a revocation is on its way.
func (o *ownState) revokes(one adapter.Revocation) bool {
	for _, queued := range o.queue {
		if queued.kind == opRevoke && queued.user == one.User && queued.revokedAt >= one.At {
			return true
		}
	}
	return false
}
