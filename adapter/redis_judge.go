package adapter

import (
	"context"
	"strconv"
	"time"

	"rollcall/rooms"
)

// A judge decides who is dead. It belongs to the goroutine of the lease.
type judge struct {
	till string    // our own lease, as we set it last
	held time.Time // since when it was never interrupted
	// suspects have a lease and nobody on their channel.
	suspects map[string]suspect
	// absent have entries and no lease, since when.
	absent map[string]time.Time
}

type suspect struct {
	till  string
	since int64 // Redis' clock
}

// heldBy notes a renewal, and reports whether the lease was not ours all the
// time since the one before.
func (j *judge) heldBy(now renewal, local time.Time) (interrupted bool) {
	first := j.till == ""
	if now.held != j.till || now.held < strconv.FormatInt(now.now, 10) {
		j.waitFrom(local)
		interrupted = !first
	}
	j.till = now.till
	return interrupted
}

// waitFrom lets a full lease pass before anybody is judged again.
func (j *judge) waitFrom(local time.Time) {
	j.held = local
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
		switch j.verdict(other, now.now, r.timing) {
		case expired:
			r.buryLost(ctx, other.instance, expired, other.till)
		case silent:
			r.buryLost(ctx, other.instance, silent, other.till)
		}
	}
	for instance := range j.suspects {
		if !leases[instance] {
			delete(j.suspects, instance)
		}
	}
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
	leaving verdict = "leaving" // it is ourselves
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

// missing is who has entries and had no lease for the length of one.
func (j *judge) missing(r *Redis, leases map[string]bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	owners := r.owners()
	for instance := range j.absent {
		if leases[instance] || !owners[instance] {
			delete(j.absent, instance)
		}
	}
	var out []string
	for instance := range owners {
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
	if why == absent {
		// Redis may have nothing of it to announce, having lost that itself.
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drop(instance, rooms.InstanceLost)
	}
}
