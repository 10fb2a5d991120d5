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
	args := make([]any, 0, 4+5*len(batch))
	args = append(args, r.instance, r.timing.Lease.Milliseconds(), maxStream, int(keepProgress.Seconds()))
	for _, op := range batch {
		body := string(op.reason)
		if op.kind == opPut {
			body = entryBody(op.entry, op.version)
		}
		args = append(args, string(op.kind), op.version, op.socket, op.entry.UserID, body)
	}
	reply, err := r.run(ctx, r.timing.Call, applyScript, args...)
	return reply == int64(1), err
}
