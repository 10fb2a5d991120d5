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
// It suspects no instance before this one has held its own lease for the full
// length without interruption: after an outage of Redis all leases have run out,
// and their owners are about to renew them.
type failureDetector struct {
	till string    // end of our own lease, as we set it last
	from time.Time // since when our lease was never interrupted
	// clock is Redis' at the last renewal, which was between began and ended.
	clock        int64
	began, ended time.Time
	// leases are the others' as they were observed.
	leases map[string]observedLease
	// withoutLease is since when an instance has entries and no lease.
	withoutLease map[string]time.Time
}

// An observedLease is a lease for as long as it ends at the same time.
type observedLease struct {
	till   string
	since  time.Time // by our own clock
	silent int64     // Redis' clock when nobody was on its channel any more; 0: somebody is
}

func newFailureDetector() failureDetector {
	return failureDetector{leases: make(map[string]observedLease), withoutLease: make(map[string]time.Time)}
}

// renewed notes a renewal, which took from began to ended, and reports whether our
// lease was interrupted since the one before.
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

// restart lets a full lease pass before an instance is suspected again.
func (d *failureDetector) restart(local time.Time) {
	d.from = local
	clear(d.leases)
	clear(d.withoutLease)
}

// detectFailures evicts the instances that have failed, and reports whether any
// is suspected.
func (k *leaseKeeper) detectFailures(ctx context.Context, now renewal) (suspected bool) {
	d := &k.detector
	leases := make(map[string]bool, len(now.others))
	for _, other := range now.others {
		leases[other.instance] = true
	}
	absent := k.absent(leases) // noted even while nobody may be suspected
	if k.timing.Now().Sub(d.from) < k.timing.Lease {
		return false
	}
	for _, other := range now.others {
		lease := d.observe(other, now.now, k.timing.Now())
		if why := k.signOf(other, lease, now.now); why != signNone {
			k.evictFailed(ctx, other.instance, why, other.till)
		}
		suspected = suspected || lease.silent != 0
	}
	maps.DeleteFunc(d.leases, func(instance string, _ observedLease) bool { return !leases[instance] })
	for _, instance := range absent {
		k.evictFailed(ctx, instance, signAbsent, "")
	}
	return suspected
}

// A sign is why an instance may be evicted. The script evict checks it again.
type sign string

const (
	signNone    sign = ""
	signExpired sign = "expired" // its lease ran out
	signSilent  sign = "silent"  // its connections are closed and it does not renew
	signAbsent  sign = "absent"  // it has entries and no lease
	// Its lease stayed the same for longer than it should last: Redis' clock was set
	// back.
	signUnchanged sign = "unchanged"
	// The instance evicts itself when it has closed: at once, or when its time to hand
	// over has passed.
	signClosed   sign = "closed"
	signHandOver sign = "hand over"
)

// observe notes what a renewal tells of another instance's lease, at now by Redis'
// clock and local by our own.
func (d *failureDetector) observe(other otherLease, now int64, local time.Time) observedLease {
	lease, ok := d.leases[other.instance]
	if !ok || lease.till != other.till {
		lease = observedLease{till: other.till, since: local}
	}
	if other.listening != 0 {
		lease.silent = 0
	} else if lease.silent == 0 {
		lease.silent = now
	}
	d.leases[other.instance] = lease
	return lease
}

// signOf is why the instance of a lease may be evicted, at now by Redis' clock.
func (k *leaseKeeper) signOf(other otherLease, lease observedLease, now int64) sign {
	till, silence := other.end(), k.timing.Silence.Milliseconds()
	renewed := till - k.timing.Lease.Milliseconds()
	switch {
	case till == 0: // not written by an instance
	case till < now:
		return signExpired
	case lease.silent != 0 && now-renewed >= silence && now-lease.silent >= silence/2:
		return signSilent
	}
	if k.timing.Now().Sub(lease.since) > k.timing.Lease+max(k.handOver, k.grace) {
		return signUnchanged
	}
	return signNone
}

// absent is the instances that have entries here, and no lease for the length of one.
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

// evictFailed evicts an instance, if Redis shows that it has failed.
func (k *leaseKeeper) evictFailed(ctx context.Context, instance string, why sign, till string) {
	evicted, err := k.evict(ctx, instance, why, till, rooms.InstanceLost)
	if err != nil || !evicted {
		return
	}
	k.log.Info("an instance is lost", "instance", instance, "sign", string(why))
}
