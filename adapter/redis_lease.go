package adapter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/rooms"
)

// renewal is what one renewal of the lease tells.
type renewal struct {
	now     int64  // Redis' clock, in ms
	held    string // when the lease would have ended, "" if there was none
	till    string // when it ends now
	seq     uint64
	server  string
	orphans int // entries whose owner has no lease
	mine    int // own entries in Redis
	state   string
	others  []otherLease
}

type otherLease struct {
	instance  string
	till      string
	listening int // on its channel; negative: not known
}

// holdLease renews the lease until ctx ends, and looks after the others'.
func (r *Redis) holdLease(ctx context.Context) {
	backoff := r.newBackoff()
	judge := judge{suspects: make(map[string]suspect), absent: make(map[string]time.Time)}
	var watch watch
	var comparison comparison
	failed := false
	for ctx.Err() == nil {
		before := r.standing()
		now, err := r.renew(ctx)
		r.noteHealth(err)
		if err != nil {
			failed = true
			sleep(ctx, backoff.pause())
			continue
		}
		backoff.reset()
		interrupted := judge.heldBy(now, r.timing.Now())
		if failed { // the others may have been cut off too, and come back a little later
			judge.waitFrom(r.timing.Now())
			failed = false
		}
		r.compare(&watch, before, now, interrupted)
		if len(now.others) > 0 {
			r.compareReplicas(ctx, &comparison)
		}
		pause := r.timing.Renew
		if r.judgeOthers(ctx, &judge, now) {
			pause /= 4 // somebody is suspect: look again soon
		}
		sleep(ctx, pause)
	}
}

// A standing is what we had before a renewal.
type standing struct {
	seq     uint64 // read
	version uint64 // of the own changes
	idle    bool   // none of them is on its way
}

func (r *Redis) standing() standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return standing{r.others.seq, r.own.version, len(r.own.queue) == 0}
}

// A watch remembers between two renewals what was noticed at the last one.
type watch struct {
	target uint64    // the announcement that the reader should reach
	seq    uint64    // the one it was at,
	since  time.Time // and since when
	drift  int       // own entries in Redis, too many or too few,
	lost   int       // and entries of anybody that are missing
}

// compare looks for signs that we and Redis have lost each other.
func (r *Redis) compare(w *watch, before standing, now renewal, interrupted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := &r.others
	local := r.timing.Now()
	r.health.seq = now.seq
	switch {
	case now.server != o.server:
		o.wantRepair("Redis is another process")
	case interrupted:
		o.wantRepair("the lease had run out")
	case now.seq < before.seq:
		o.wantRepair("Redis went back")
	case o.seq == w.seq && o.seq < w.target && local.Sub(w.since) >= r.timing.Lag:
		o.wantRepair("the reader does not get on")
	}
	// Behind is no fault as long as it gets on: a storm takes its time.
	if o.seq != w.seq || o.seq >= w.target {
		w.seq, w.since = o.seq, local
	}
	w.target = now.seq
	drift := 0
	if before.idle && before.version == r.own.version { // nothing was on its way meanwhile
		drift = now.mine - len(r.own.entries)
		if now.state != whole {
			o.wantRepair("Redis lacks own entries")
		}
	}
	r.health.drift = max(drift, -drift) + max(now.orphans, -now.orphans)
	if drift != 0 && drift == w.drift { // twice: no passing moment
		o.wantRepair("own entries are too many or too few")
	}
	if now.orphans < 0 && now.orphans == w.lost {
		o.wantRepair("entries are missing")
	}
	w.drift, w.lost = drift, now.orphans
}

func (r *Redis) bury(ctx context.Context, instance string, why verdict, till string, reason rooms.Reason) (bool, error) {
	stay, toNobody := max(r.handOver, r.grace), "0"
	if r.grace > 0 { // whoever starts next finds the users, and they it
		toNobody = "1"
	}
	reply, err := r.run(ctx, r.timing.Call, buryScript, instance, string(why), till, string(reason), stay.Milliseconds(), toNobody)
	return reply == int64(1), err
}

func (r *Redis) renew(ctx context.Context) (renewal, error) {
	asked := r.timing.Now()
	reply, err := r.run(ctx, r.timing.Call, renewScript,
		r.instance, r.timing.Lease.Milliseconds())
	if err != nil {
		return renewal{}, err
	}
	answered := r.timing.Now()
	now, err := parseRenewal(reply)
	if err == nil {
		r.clock.measure(now.now, asked, answered)
	}
	return now, err
}

func parseRenewal(reply any) (renewal, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 9 {
		return renewal{}, fmt.Errorf("redis: a renewal of the form %T", reply)
	}
	number := func(v any) int64 { n, _ := v.(int64); return n }
	text := func(v any) string { s, _ := v.(string); return s }
	out := renewal{
		now:     number(parts[0]),
		held:    text(parts[1]),
		till:    text(parts[2]),
		seq:     uint64(number(parts[3])),
		server:  text(parts[4]),
		orphans: int(number(parts[5])),
		mine:    int(number(parts[6])),
		state:   text(parts[7]),
	}
	rows, _ := parts[8].([]any)
	for _, row := range rows {
		other, _ := row.([]any)
		if len(other) != 3 {
			return renewal{}, errors.New("redis: a lease of an unknown form")
		}
		out.others = append(out.others, otherLease{text(other[0]), text(other[1]), int(number(other[2]))})
	}
	return out, nil
}
