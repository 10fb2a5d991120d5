package redis

import (
	"context"
	"fmt"
	"time"

	"rollcall/adapter"
	"rollcall/internal/retry"
)

// What one call carries at most: Redis does nothing else meanwhile.
const (
	maxBatch      = 256
	maxBatchBytes = 512 << 10
)

func (r *Store) wakeWriter() {
	r.own.overflow()
	signal(r.wake)
}

// signal wakes the one who waits, or who is about to. It never blocks.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write brings own changes to Redis, in their order, until ctx ends. What
// fails is tried again as it is.
//
// The first change after quiet goes at once; in a storm they are gathered, a
// little longer each time.
func (r *Store) write(ctx context.Context) {
	backoff := r.newBackoff()
	var gather time.Duration
	for ctx.Err() == nil {
		r.mu.Lock()
		batch := r.own.batch(r.batch)
		r.mu.Unlock()
		if len(batch) == 0 {
			gather = 0
			select {
			case <-r.wake:
			case <-ctx.Done():
			}
			continue
		}
		done, err := r.apply(ctx, batch)
		if err != nil {
			backoff.Wait(ctx)
			continue
		}
		backoff.Reset()
		r.confirm(batch, done)
		signal(r.written)
		if len(batch) < r.batch {
			gather = min(max(time.Millisecond, 2*gather), r.timing.MaxGather)
			retry.Sleep(ctx, gather)
		}
	}
}

// applied is what Redis says after a batch.
type applied struct {
	gapless        bool   // nothing was left out
	version, count uint64 // the last that it has
}

// apply has Redis carry out a batch.
func (r *Store) apply(ctx context.Context, batch []op) (applied, error) {
	args := make([]any, 0, 3+7*len(batch))
	args = append(args, r.instance, r.timing.Lease.Milliseconds(), r.newToken())
	for _, one := range batch {
		args = append(args, string(one.kind), one.version)
		body := one.body()
		args = append(args, body[:]...)
	}
	reply, err := r.run(ctx, r.timing.Call, r.scripts.apply, args...)
	if err != nil {
		return applied{}, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 3 {
		return applied{}, fmt.Errorf("redis: an answer of the form %T", reply)
	}
	version, _ := parts[1].(int64)
	count, _ := parts[2].(int64)
	return applied{parts[0] == int64(1), uint64(version), uint64(count)}, nil
}

// confirm takes Redis' word for a batch. If it left something out, it lost what
// was before that: then everything is rewritten, unless that is on its way.
func (r *Store) confirm(batch []op, done applied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own.confirm(done.version, done.count)
	if done.gapless {
		return
	}
	if r.closed { // all is about to go
		r.own.queue = r.own.queue[min(len(batch), len(r.own.queue)):]
		return
	}
	last := uint64(0)
	for _, one := range batch {
		if !one.isMessage() {
			last = one.version
		}
	}
	for _, one := range r.own.queue {
		if one.kind == opReset && one.version > last {
			return
		}
	}
	r.rewrite("Redis has lost own changes")
}

// body is what the script's function of this kind takes.
func (o op) body() [5]any {
	switch o.kind {
	case opPut:
		return [5]any{address(o.place), o.entry.UserID, o.active, entryBody(o.entry, o.version), publicPart(o.entry)}
	case opRemove:
		return [5]any{address(o.place), string(o.reason), "", "", ""}
	case opSay:
		return [5]any{o.said.Room, o.after, saidBody(o.said), ownerTag(o.said.From), adapter.NonceKey(o.said)}
	case opRevoke:
		return [5]any{o.user, o.revokedAt, "", "", ""}
	case opSignOut:
		return [5]any{o.user, "", "", "", ""}
	case opReset:
		return [5]any{o.base, "", "", "", ""}
	}
	return [5]any{"", "", "", "", ""}
}
