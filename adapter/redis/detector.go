package redis

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"rollcall/rooms"
)

// A failureDetector decides which other instances have failed. It belongs to the
// goroutine of the lease.
//
// It suspects nobody before this instance has held its own lease for the full
// length without interruption: after an outage of Redis everybody's lease has
// run out, and they are on their way back.
type failureDetector struct {
	till string    // end of our own lease, as we set it last
	from time.Time // since when it was never interrupted
	// clock is Redis' at the last renewal, which was between began and ended.
	clock        int64
	began, ended time.Time
	// leases are the others' as they were observed first.
	leases map[string]observedLease
	// suspected have a lease and nobody on their channel.
	suspected map[string]suspicion
	// withoutLease have entries and no lease, since when.
	withoutLease map[string]time.Time
}

type suspicion struct {
	till  string
	since int64 // Redis' clock
}

type observedLease struct {
	till  string
	since time.Time
}

func newFailureDetector() failureDetector {
	return failureDetector{
		leases:       make(map[string]observedLease),
		suspected:    make(map[string]suspicion),
		withoutLease: make(map[string]time.Time),
	}
}

// renewed notes a renewal that began and ended when it did, and reports whether
// our lease was interrupted since the one before.
func (d *failureDetector) renewed(now renewal, began, ended time.Time) (interrupted bool) {
	first := d.till == ""
	switch {
	case now.held != d.till || now.held < strconv.FormatInt(now.now, 10):
		d.restart(ended)
		interrupted = !first
	case d.clockWasSet(now.now, began, ended):
		d.restart(ended)
	}
	d.till, d.clock, d.began, d.ended = now.till, now.now, began, ended
	return interrupted
}

// maxSkew is how far Redis' clock and ours may go apart between two renewals.
const maxSkew = 200 * time.Millisecond

// clockWasSet reports whether Redis' clock was set: then the others' leases say
// nothing before they are renewed.
func (d *failureDetector) clockWasSet(clock int64, began, ended time.Time) bool {
	went := time.Duration(clock-d.clock) * time.Millisecond
	return went < began.Sub(d.ended)-maxSkew || went > ended.Sub(d.began)+maxSkew
}

// restart lets a full lease pass before anybody is suspected again.
func (d *failureDetector) restart(local time.Time) {
	d.from = local
	clear(d.leases)
	clear(d.suspected)
	clear(d.withoutLease)
}

// detectFailures evicts the instances that have failed, and reports whether any
// is suspected.
func (k *leaseKeeper) detectFailures(ctx context.Context, now renewal) bool {
	d := &k.detector
	leases := make(map[string]bool, len(now.others))
	for _, other := range now.others {
		leases[other.instance] = true
	}
	absent := k.absent(leases) // their time runs along with ours
	if k.timing.Now().Sub(d.from) < k.timing.Lease {
		return false
	}
	for _, other := range now.others {
		sign := d.check(other, now.now, k.timing)
		if sign == signNone && d.isUnchanged(other, k.timing.Now(), k.timing.Lease+max(k.handOver, k.grace)) {
			sign = signUnchanged
		}
		if sign != signNone {
			k.evictFailed(ctx, other.instance, sign, other.till)
		}
	}
	maps.DeleteFunc(d.suspected, func(instance string, _ suspicion) bool { return !leases[instance] })
	maps.DeleteFunc(d.leases, func(instance string, _ observedLease) bool { return !leases[instance] })
	for _, instance := range absent {
		k.evictFailed(ctx, instance, signAbsent, "")
	}
	return len(d.suspected) > 0
}

// A sign is why an instance may be evicted. The script evict checks it again.
type sign string

const (
	signNone    sign = ""
	signExpired sign = "expired" // its lease ran out
	signSilent  sign = "silent"  // its connections are closed and it does not renew
	signAbsent  sign = "absent"  // it has entries and no lease
	// Its lease was not renewed for longer than it should last: Redis' clock was
	// set back.
	signUnchanged sign = "unchanged"
	// It is ourselves: we have closed,
	signClosed sign = "closed"
	// and the others evict us when our time to hand over has passed.
	signHandOver sign = "hand over"
)

// check looks at one instance's lease, in Redis' time.
func (d *failureDetector) check(other otherLease, now int64, timing Timing) sign {
	till, err := strconv.ParseInt(other.till, 10, 64)
	if err != nil {
		return signNone // not written by an instance
	}
	if till < now {
		return signExpired
	}
	if other.listening != 0 {
		delete(d.suspected, other.instance)
		return signNone
	}
	s, ok := d.suspected[other.instance]
	if !ok || s.till != other.till {
		d.suspected[other.instance] = suspicion{other.till, now}
		return signNone
	}
	renewed := till - timing.Lease.Milliseconds()
	if now-renewed >= timing.Silence.Milliseconds() && now-s.since >= timing.Silence.Milliseconds()/2 {
		return signSilent
	}
	return signNone
}

// isUnchanged reports whether a lease has been the same for longer than limit, by
// our own clock.
func (d *failureDetector) isUnchanged(other otherLease, now time.Time, limit time.Duration) bool {
	observed, ok := d.leases[other.instance]
	if !ok || observed.till != other.till {
		d.leases[other.instance] = observedLease{other.till, now}
		return false
	}
	return now.Sub(observed.since) > limit
}

// absent is the instances that have entries and had no lease for the length of
// one.
func (k *leaseKeeper) absent(leases map[string]bool) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	since := k.detector.withoutLease
	owners := k.others.instances()
	maps.DeleteFunc(since, func(instance string, _ time.Time) bool {
		return leases[instance] || !slices.Contains(owners, instance)
	})
	var out []string
	for _, instance := range owners {
		if leases[instance] {
			continue
		}
		from, ok := since[instance]
		if !ok {
			since[instance] = k.timing.Now()
		} else if k.timing.Now().Sub(from) >= k.timing.Lease {
			out = append(out, instance)
		}
	}
	return out
}

// evictFailed evicts an instance, if Redis agrees that it has failed.
func (k *leaseKeeper) evictFailed(ctx context.Context, instance string, why sign, till string) {
	evicted, err := k.evict(ctx, instance, why, till, rooms.InstanceLost)
	if err != nil || !evicted {
		return
	}
	k.log.Info("an instance is lost", "instance", instance, "sign", string(why))
}
