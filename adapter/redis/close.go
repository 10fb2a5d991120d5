package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/rooms"
)

// Close hands over: what is queued is written, the own entries are removed and
// announced, and the lease is evicted; with a grace or a time to hand over they
// are left to the others, who remove them when it is over. It ends all goroutines, whether or
// not Redis could be told before ctx ended; if not, the others find out by
// themselves and Close says so.
func (r *Store) Close(ctx context.Context) error {
	r.closing.Do(func() { r.closeErr = r.close(ctx) })
	return r.closeErr
}

func (r *Store) close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	err := r.drain(ctx)
	r.cancel()
	r.writing.Wait() // from here on nobody renews the lease that is evicted
	if err == nil {
		err = errors.Join(r.flushLastActive(ctx), r.endLease(ctx))
	}
	r.disconnect()
	if err != nil {
		return fmt.Errorf("redis: hand over: %w", err)
	}
	return nil
}

// endLease gives up the entries and the lease, or leaves them to the others.
func (r *Store) endLease(ctx context.Context) error {
	why := signClosed
	if r.grace > 0 || r.handOver > 0 {
		why = signHandOver
	}
	backoff := r.newBackoff()
	for {
		_, err := r.evict(ctx, r.instance, why, "", rooms.Closed)
		if err == nil || ctx.Err() != nil || backoff.AtMax() {
			return err
		}
		backoff.Wait(ctx)
	}
}

// disconnect ends what is left. The reader waits in a call, which only the end
// of its connection ends at once.
func (r *Store) disconnect() {
	r.cancel()
	r.server.Close()
	r.writing.Wait()
	r.living.Wait()
}

// drain waits until everything is written.
func (r *Store) drain(ctx context.Context) error {
	for {
		r.mu.Lock()
		left, gone := len(r.own.queue), r.health.down
		r.mu.Unlock()
		switch {
		case left == 0:
			return nil
		case gone:
			return errors.New("Redis is gone")
		}
		select {
		case <-r.written:
		case <-time.After(r.timing.Renew): // it may have gone meanwhile
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
