package adapter

import (
	"context"
	"time"
)

// What one call carries at most: Redis does nothing else meanwhile.
const (
	maxBatch      = 256
	maxBatchBytes = 512 << 10
)

func (r *Redis) wakeWriter() {
	if r.own.overflow() {
		r.others.wantRepair("own changes piled up")
	}
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
func (r *Redis) write(ctx context.Context) {
	backoff := r.newBackoff()
	var gather time.Duration
	for ctx.Err() == nil {
		r.mu.Lock()
		batch := r.own.batch()
		r.mu.Unlock()
		if len(batch) == 0 {
			gather = 0
			select {
			case <-r.wake:
			case <-ctx.Done():
			}
			continue
		}
		gapless, err := r.apply(ctx, batch)
		if err != nil {
			sleep(ctx, backoff.pause())
			continue
		}
		backoff.reset()
		r.mu.Lock()
		if !gapless {
			r.others.wantRepair("Redis has lost own changes")
		}
		r.own.confirm(batch[len(batch)-1].version)
		r.mu.Unlock()
		signal(r.written)
		if len(batch) < maxBatch {
			gather = min(max(time.Millisecond, 2*gather), r.timing.MaxGather)
			sleep(ctx, gather)
		}
	}
}

// apply has Redis carry out a batch. It is not gapless if Redis lacks changes
// before it.
func (r *Redis) apply(ctx context.Context, batch []op) (gapless bool, err error) {
	args := make([]any, 0, 2+7*len(batch))
	args = append(args, r.instance, r.timing.Lease.Milliseconds())
	for _, one := range batch {
		args = append(args, string(one.kind), one.version)
		body := one.body()
		args = append(args, body[:]...)
	}
	reply, err := r.run(ctx, r.timing.Call, applyScript, args...)
	return reply == int64(1), err
}

// body is what the script's function of this kind takes.
func (o op) body() [5]any {
	switch o.kind {
	case opPut:
		return [5]any{address(o.place), o.entry.UserID, o.active, entryBody(o.entry, o.version), publicPart(o.entry)}
	case opRemove:
		return [5]any{address(o.place), string(o.reason), "", "", ""}
	case opSay:
		return [5]any{o.said.Room, o.said.ID, saidBody(o.said), "", ""}
	case opRevoke:
		return [5]any{o.user, o.revokedAt, "", "", ""}
	case opSignOut:
		return [5]any{o.user, "", "", "", ""}
	}
	return [5]any{"", "", "", "", ""}
}
