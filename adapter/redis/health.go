package redis

import (
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// health is what /readyz and Stats show of the calls to Redis. Store.mu guards it.
type health struct {
	renewed time.Time // when the lease was renewed last; at first when the store was opened
	times   uint64    // how often it was renewed
	failed  int       // renewals that failed, in a row
	down    bool      // the log says that Redis is gone
	since   time.Time // the first of the failed renewals
	lastErr error
	seq     uint64 // of the last announcement that Redis has
	drift   int    // see Stats
}

// noteHealth notes the result of a renewal. It logs that Redis is gone, or back,
// once each, and nothing of a mere reconnect.
func (k *leaseKeeper) noteHealth(err error) {
	k.mu.Lock()
	h, now := &k.health, k.timing.Now()
	wasDown := h.down
	if err != nil {
		if h.failed++; h.failed == 1 {
			h.since = now
		}
		h.lastErr = err
		h.down = wasDown || h.failed == 2 && !k.closed
	} else {
		h.down, h.failed, h.lastErr, h.renewed = false, 0, nil, now
		h.times++
	}
	isDown, since := h.down, h.since
	k.mu.Unlock()
	switch {
	case isDown && !wasDown && errors.Is(err, errLaterFormat):
		k.log.Error("the data in Redis cannot be used; own clients are served on", "error", err)
	case isDown && !wasDown:
		k.log.Error("Redis is gone; own clients are served on", "error", err)
	case wasDown && !isDown:
		k.log.Info("Redis is back", "after", now.Sub(since).Round(time.Millisecond))
	}
}

var errNotRenewed = errors.New("not renewed yet")

// Ready is nil if this instance has the others' entries; else it says what is
// wrong.
func (r *Store) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.health
	age := r.timing.Now().Sub(h.renewed)
	switch {
	case r.closed:
		return errors.New("redis: closed")
	case errors.Is(h.lastErr, errLaterFormat):
		return fmt.Errorf("redis: %w", h.lastErr)
	case h.times == 0 || age > r.timing.Lease:
		return fmt.Errorf("redis: no lease for %s: %w", age.Round(time.Second), cmp.Or(h.lastErr, errNotRenewed))
	case r.others.resync != "":
		return fmt.Errorf("redis: the view is not in sync: %s", r.others.resync)
	case r.others.unsettled() > 0:
		return fmt.Errorf("redis: the view is not in sync: waiting for %d other instances", r.others.unsettled())
	}
	return nil
}

// Stats is what a store counts. The counters only rise.
type Stats struct {
	// LeaseAge is the time since the lease was renewed, Renewals how often it was.
	LeaseAge time.Duration
	Renewals uint64
	// Lag is how many announcements in Redis are not read yet.
	Lag uint64
	// Queued is how many own changes and messages Redis has not confirmed.
	Queued int
	// Drift is how many entries in Redis have no owner with a lease, and own
	// ones no live socket or the reverse. It should be 0.
	Drift int
	// Resyncs is how often everything was compared with Redis, after the first time.
	Resyncs uint64
	// Differences is how often another instance had other entries at the same
	// announcement. It should be 0.
	Differences uint64
	// Refused is how many values and announcements were left out, because they
	// are not what an instance writes.
	Refused uint64
	// Calls is how many calls were made, Errors how many of them failed, and
	// CallTime how long they took in all; the last call took LastCall.
	Calls, Errors      uint64
	CallTime, LastCall time.Duration
}

// Stats returns the counters.
func (r *Store) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		LeaseAge:    r.timing.Now().Sub(r.health.renewed),
		Renewals:    r.health.times,
		Lag:         r.health.seq - min(r.health.seq, r.others.seq),
		Queued:      len(r.own.queue),
		Drift:       r.health.drift,
		Resyncs:     r.counters.resyncs.Load(),
		Differences: r.counters.differences.Load(),
		Refused:     r.counters.rejected.Load(),
		Calls:       r.counters.calls.Load(),
		Errors:      r.counters.errors.Load(),
		CallTime:    time.Duration(r.counters.time.Load()),
		LastCall:    time.Duration(r.counters.last.Load()),
	}
}

// counters are for Stats.
type counters struct {
	calls, errors, resyncs, differences, rejected atomic.Uint64
	time, last                                    atomic.Int64
}

func (c *counters) called(took time.Duration, err error) {
	c.calls.Add(1)
	if took > 0 {
		c.time.Add(int64(took))
		c.last.Store(int64(took))
	}
	if err != nil && !errors.Is(err, goredis.Nil) {
		c.failed()
	}
}

func (c *counters) failed() { c.errors.Add(1) }
