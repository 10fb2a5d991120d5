package redis

import (
	"context"
	"fmt"
	"time"

	"rollcall/adapter"
	"rollcall/internal/retry"
	"rollcall/rooms"
)

// Bounds of one call: Redis does nothing else meanwhile.
const (
	maxBatch      = 256
	maxBatchBytes = 512 << 10
)

// wakeWriter tells the writer of what was queued. mu is held.
func (r *Store) wakeWriter() {
	r.own.overflow()
	signal(r.wake)
}

// signal wakes the goroutine that receives from c, now or later. It never blocks.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// rewrite writes anew everything that this instance has. mu is held.
func (r *Store) rewrite(why string) {
	if r.closed {
		return // the entries are about to be removed
	}
	r.own.rewrite()
	r.log.Debug("rewrites everything", "why", why, "entries", len(r.own.entries))
	signal(r.wake)
}

// A writer brings own changes and messages to Redis. It belongs to one goroutine.
type writer struct{ *Store }

// write sends what is queued, in order, until ctx ends. A call that failed is
// repeated. The first change after quiet is sent at once; in a storm changes are
// gathered, a little longer each time.
func (w writer) write(ctx context.Context) {
	backoff := w.newBackoff()
	var gather time.Duration
	for ctx.Err() == nil {
		w.mu.Lock()
		batch := w.own.batch(w.batch)
		w.mu.Unlock()
		if len(batch) == 0 {
			gather = 0
			select {
			case <-w.wake:
			case <-ctx.Done():
			}
			continue
		}
		done, err := w.apply(ctx, batch)
		if err != nil {
			backoff.Wait(ctx)
			continue
		}
		backoff.Reset()
		w.confirm(batch, done)
		signal(w.written)
		if len(batch) < w.batch {
			gather = min(max(time.Millisecond, 2*gather), w.timing.MaxGather)
			retry.Sleep(ctx, gather)
		}
	}
}

// applied is the answer to a batch.
type applied struct {
	gapless        bool   // nothing was left out
	version, count uint64 // the last that it has
}

// apply has Redis carry out a batch.
func (w writer) apply(ctx context.Context, batch []op) (applied, error) {
	args := make([]any, 0, 3+7*len(batch))
	args = append(args, w.instance, w.timing.Lease.Milliseconds(), w.newToken())
	for _, one := range batch {
		body := one.body()
		args = append(append(args, string(one.kind), one.version), body[:]...)
	}
	reply, err := w.runScript(ctx, w.timing.Call, w.scripts.apply, args...)
	if err != nil {
		return applied{}, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 3 {
		return applied{}, fmt.Errorf("redis: an answer of the form %T", reply)
	}
	return applied{parts[0] == int64(1), uint64(integer(parts[1])), uint64(integer(parts[2]))}, nil
}

// confirm handles the answer to a batch. If Redis left something out, it lost what
// was before that: then everything is rewritten, unless a rewrite is queued.
func (w writer) confirm(batch []op, done applied) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own.confirm(done.version, done.count)
	if done.gapless {
		return
	}
	if w.closed { // the entries are about to be removed
		w.own.queue = w.own.queue[min(len(batch), len(w.own.queue)):]
		return
	}
	last := uint64(0)
	for _, one := range batch {
		if !one.isMessage() {
			last = one.version
		}
	}
	for _, one := range w.own.queue {
		if one.kind == opReset && one.version > last {
			return
		}
	}
	w.rewrite("Redis has lost own changes")
}

// body is what the script's function of this kind takes.
func (o op) body() [5]any {
	switch o.kind {
	case opPut:
		return [5]any{address(o.place), o.entry.UserID, o.active, entryBody(o.entry, o.version), publicPart(o.entry)}
	case opRemove:
		return [5]any{address(o.place), string(o.reason), "", "", ""}
	case opPost:
		return [5]any{o.post.Room, o.after, messageBody(o.post), ownerTag(o.post.From), adapter.NonceKey(o.post)}
	case opRevoke:
		return [5]any{o.user, o.revokedAt, "", "", ""}
	case opSignOut:
		return [5]any{o.user, "", "", "", ""}
	case opReset:
		return [5]any{o.base, "", "", "", ""}
	}
	return [5]any{"", "", "", "", ""}
}

// ownerTag names the client who answers for a message's room, for the script.
func ownerTag(from rooms.Origin) string {
	return adapter.Digest(from.Address) + "." + adapter.Digest(from.Client)
}
