package adapter

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"rollcall/rooms"
)

// A judge decides who is dead. It belongs to the goroutine of the lease.
type judge struct {
	till string    // our own lease, as we set it last
	held time.Time // since when it was never interrupted
	// clock is Redis' at the last renewal, which was between began and ended.
	clock        int64
	began, ended time.Time
	// leases are the others' as they were seen first, since when.
	leases map[string]seenLease
	// suspects have a lease and nobody on their channel.
	suspects map[string]suspect
	// absent have entries and no lease, since when.
	absent map[string]time.Time
}

type suspect struct {
	till  string
	since int64 // Redis' clock
}

type seenLease struct {
	till  string
	since time.Time
}

func newJudge() judge {
	return judge{
		leases:   make(map[string]seenLease),
		suspects: make(map[string]suspect),
		absent:   make(map[string]time.Time),
	}
}

// heldBy notes a renewal that began and ended when it did, and reports whether
// the lease was not ours all the time since the one before.
func (j *judge) heldBy(now renewal, began, ended time.Time) (interrupted bool) {
	first := j.till == ""
	switch {
	case now.held != j.till || now.held < strconv.FormatInt(now.now, 10):
		j.waitFrom(ended)
		interrupted = !first
	case j.isJump(now.now, began, ended):
		j.waitFrom(ended)
	}
	j.till, j.clock, j.began, j.ended = now.till, now.now, began, ended
	return interrupted
}

// maxSkew is how far Redis' clock and ours may go apart between two renewals.
const maxSkew = 200 * time.Millisecond

// isJump reports whether Redis' clock was set: then the others' leases say
// nothing before they are renewed.
func (j *judge) isJump(clock int64, began, ended time.Time) bool {
	went := time.Duration(clock-j.clock) * time.Millisecond
	return went < began.Sub(j.ended)-maxSkew || went > ended.Sub(j.began)+maxSkew
}

// waitFrom lets a full lease pass before anybody is judged again.
func (j *judge) waitFrom(local time.Time) {
	j.held = local
	clear(j.leases)
	clear(j.suspects)
	clear(j.absent)
}

// judgeOthers buries the dead, and reports whether somebody is suspect.
//
// Whoever lost its own lease waits for a full one before it judges: after an
// outage of Redis everybody's has run out, and they are on their way back.
func (r *Redis) judgeOthers(ctx context.Context, j *judge, now renewal) bool {
	leases := make(map[string]bool, len(now.others))
	for _, other := range now.others {
		leases[other.instance] = true
	}
	missing := j.missing(r, leases) // their time runs along with ours
	if r.timing.Now().Sub(j.held) < r.timing.Lease {
		return false
	}
	for _, other := range now.others {
		why := j.verdict(other, now.now, r.timing)
		if why == lives && j.isUnchanged(other, r.timing.Now(), r.timing.Lease+max(r.handOver, r.grace)) {
			why = unchanged
		}
		if why != lives {
			r.buryLost(ctx, other.instance, why, other.till)
		}
	}
	maps.DeleteFunc(j.suspects, func(instance string, _ suspect) bool { return !leases[instance] })
	maps.DeleteFunc(j.leases, func(instance string, _ seenLease) bool { return !leases[instance] })
	for _, instance := range missing {
		r.buryLost(ctx, instance, absent, "")
	}
	return len(j.suspects) > 0
}

// Why an instance may be buried, by the names that the script knows.
type verdict string

const (
	lives   verdict = ""
	expired verdict = "expired" // its lease ran out
	silent  verdict = "silent"  // its connections are closed and it does not renew
	absent  verdict = "absent"  // it has entries and no lease
	// It was not renewed for longer than it should last: Redis' clock was set
	// back.
	unchanged verdict = "unchanged"
	leaving   verdict = "leaving" // it is ourselves
	// It is ourselves, and the others will bury us when our time to hand over is
	// over.
	handingOver verdict = "handing over"
)

// verdict judges one instance by its lease, in Redis' time.
func (j *judge) verdict(other otherLease, now int64, timing RedisTiming) verdict {
	till, err := strconv.ParseInt(other.till, 10, 64)
	if err != nil {
		return lives // not written by us
	}
	if till < now {
		return expired
	}
	if other.listening != 0 {
		delete(j.suspects, other.instance)
		return lives
	}
	s, ok := j.suspects[other.instance]
	if !ok || s.till != other.till {
		j.suspects[other.instance] = suspect{other.till, now}
		return lives
	}
	renewed := till - timing.Lease.Milliseconds()
	if now-renewed >= timing.Silence.Milliseconds() && now-s.since >= timing.Silence.Milliseconds()/2 {
		return silent
	}
	return lives
}

// isUnchanged reports whether a lease has been the same for so long, by our own
// clock.
func (j *judge) isUnchanged(other otherLease, now time.Time, limit time.Duration) bool {
	seen, ok := j.leases[other.instance]
	if !ok || seen.till != other.till {
		j.leases[other.instance] = seenLease{other.till, now}
		return false
	}
	return now.Sub(seen.since) > limit
}

// missing is who has entries and had no lease for the length of one.
func (j *judge) missing(r *Redis, leases map[string]bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	owners := r.others.instances()
	maps.DeleteFunc(j.absent, func(instance string, _ time.Time) bool {
		return leases[instance] || !slices.Contains(owners, instance)
	})
	var out []string
	for _, instance := range owners {
		if leases[instance] {
			continue
		}
		since, ok := j.absent[instance]
		if !ok {
			j.absent[instance] = r.timing.Now()
		} else if r.timing.Now().Sub(since) >= r.timing.Lease {
			out = append(out, instance)
		}
	}
	return out
}

// buryLost buries a dead instance, if Redis agrees that it is.
func (r *Redis) buryLost(ctx context.Context, instance string, why verdict, till string) {
	buried, err := r.bury(ctx, instance, why, till, rooms.InstanceLost)
	if err != nil || !buried {
		return
	}
	r.log.Info("an instance is lost", "instance", instance, "sign", string(why))
}
