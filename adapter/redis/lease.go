package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/retry"
	"rollcall/rooms"
)

// renewal is the answer to one renewal of the lease.
type renewal struct {
	now     int64  // Redis' clock (epoch ms)
	held    string // when the lease before would have ended, "" if there was none
	till    string // when it ends now
	seq     uint64 // of the last announcement
	token   string
	orphans int // entries whose owner has no lease
	mine    progress
	others  []otherLease
}

type otherLease struct {
	instance  string
	till      string
	listening int // on its channel; negative: not known
	version   uint64
	state     state
}

// someExpired reports whether the lease of another instance has run out.
func (r renewal) someExpired() bool {
	return slices.ContainsFunc(r.others, func(other otherLease) bool {
		return other.end() < r.now
	})
}

// end is when the lease ends by Redis' clock (epoch ms), 0 if it is no number.
func (l otherLease) end() int64 {
	till, _ := strconv.ParseInt(l.till, 10, 64)
	return till
}

// A leaseKeeper renews this instance's lease, and compares what each renewal says of
// all instances with what is known here. It belongs to one goroutine.
type leaseKeeper struct {
	*Store
	detector   failureDetector
	last       observations
	uncompared int  // renewals since the last comparison of digests
	differed   bool // at that one
}

// keep renews the lease until ctx ends.
func (k *leaseKeeper) keep(ctx context.Context) {
	backoff := k.newBackoff()
	failed := false
	for ctx.Err() == nil {
		before, started := k.progress(), k.timing.Now()
		now, err := k.renew(ctx)
		k.noteHealth(err)
		if err != nil {
			failed = true
			backoff.Wait(ctx)
			continue
		}
		backoff.Reset()
		interrupted := k.detector.renewed(now, started, k.timing.Now())
		if failed { // the others may have lost their connections too, and come back a little later
			k.detector.restart(k.timing.Now())
			failed = false
		}
		k.check(before, now, interrupted)
		k.compareDigests(ctx, now)
		pause := k.timing.Renew
		if k.detectFailures(ctx, now) {
			pause /= 4 // an instance is suspected: renew again soon
		}
		retry.Sleep(ctx, pause)
	}
}

// ownProgress is how far this instance was before a call.
type ownProgress struct {
	seq               uint64 // read
	version           uint64 // of the own changes
	acked, ackedCount uint64
	idle, rewriting   bool
}

func (r *Store) progress() ownProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := &r.own
	return ownProgress{r.others.seq, o.version, o.acked, o.ackedCount, len(o.queue) == 0, o.isRewriting()}
}

// observations are what was observed at the last renewal.
type observations struct {
	target uint64    // the announcement that the reader should reach
	seq    uint64    // the one it was at,
	since  time.Time // and since when
	drift  int       // own entries in Redis, too many or too few,
	lost   int       // and entries of anybody that are missing
}

// check looks for signs that Redis lost data, or the reader its place.
func (k *leaseKeeper) check(before ownProgress, now renewal, interrupted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	o, last := &k.others, &k.last
	local := k.timing.Now()
	k.health.seq = now.seq
	o.observeLeases(now.others)
	switch {
	case now.seq < before.seq || now.seq == o.seq && now.token != o.token:
		o.requestResync("Redis has other data")
	case interrupted:
		o.requestResync("the lease had run out")
	case o.seq == last.seq && o.seq < last.target && local.Sub(last.since) >= k.timing.Lag:
		o.requestResync("the reader makes no progress")
	case o.seq >= now.seq && o.lacks(now):
		o.requestResync("another instance is known in part")
	}
	// A reader that is behind and makes progress is no fault: a storm takes time.
	if o.seq != last.seq || o.seq >= last.target {
		last.seq, last.since = o.seq, local
	}
	last.target = now.seq
	k.checkOwn(before, now)
}

// lacks reports whether Redis has more of another instance than the reader,
// which has read all that was announced.
func (o *othersState) lacks(now renewal) bool {
	for _, other := range now.others {
		known := o.owners[other.instance]
		switch {
		case other.version == 0 || other.end() < now.now || other.state != whole && other.state != left || o.isEnded(other.instance, other.version):
		case known == nil, known.version < other.version, !known.settled:
			return true
		}
	}
	return false
}

// checkOwn looks for own changes that Redis lost, and compares the numbers of
// entries. mu is held.
func (k *leaseKeeper) checkOwn(before ownProgress, now renewal) {
	drift := 0
	if before.idle && before.version == k.own.version { // nothing was on its way meanwhile
		drift = now.mine.entries - len(k.own.entries)
	}
	k.health.drift = max(drift, -drift) + max(now.orphans, -now.orphans)
	switch {
	case k.own.isLost(now.mine, before):
		k.rewrite("Redis lacks own changes")
	case drift != 0 && drift == k.last.drift && !k.own.isRewriting(): // twice in a row: not just in between
		k.rewrite("own entries are too many or too few")
	case now.orphans < 0 && now.orphans == k.last.lost:
		k.others.requestResync("entries are missing")
	}
	k.last.drift, k.last.lost = drift, now.orphans
}

// evict removes another instance, or this one at its end, with all its entries. It
// reports false if Redis shows that the instance still runs.
func (r *Store) evict(ctx context.Context, instance string, why sign, till string, reason rooms.Reason) (bool, error) {
	handOver, toNobody := max(r.handOver, r.grace), "0"
	if r.grace > 0 { // an instance that starts next finds the users
		toNobody = "1"
	}
	reply, err := r.runScript(ctx, r.timing.Call, r.scripts.evict,
		instance, string(why), till, string(reason), handOver.Milliseconds(), toNobody, r.newToken())
	return reply == int64(1), err
}

func (k *leaseKeeper) renew(ctx context.Context) (renewal, error) {
	asked := k.timing.Now()
	reply, err := k.runScript(ctx, k.timing.Call, k.scripts.renew,
		k.instance, k.timing.Lease.Milliseconds())
	if err != nil {
		return renewal{}, err
	}
	answered := k.timing.Now()
	now, err := parseRenewal(reply)
	if err == nil {
		k.clock.Measure(now.now, asked, answered)
	}
	return now, err
}

func parseRenewal(reply any) (renewal, error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 11 {
		return renewal{}, fmt.Errorf("redis: a renewal of the form %T", reply)
	}
	out := renewal{
		now:     integer(parts[0]),
		held:    text(parts[1]),
		till:    text(parts[2]),
		seq:     uint64(integer(parts[3])),
		token:   text(parts[4]),
		orphans: int(integer(parts[5])),
		mine: progress{
			entries: int(integer(parts[6])),
			version: number(text(parts[7])),
			state:   state(text(parts[8])),
			count:   number(text(parts[9])),
		},
	}
	rows, _ := parts[10].([]any)
	for _, row := range rows {
		other, _ := row.([]any)
		if len(other) != 5 {
			return renewal{}, errors.New("redis: a lease of an unknown form")
		}
		out.others = append(out.others, otherLease{
			text(other[0]), text(other[1]), int(integer(other[2])), number(text(other[3])), state(text(other[4])),
		})
	}
	return out, nil
}

// holdAliveSubscription keeps a connection subscribed to a channel of this
// instance. When the process dies its connections close at once, and the others
// see that the channel has no subscriber. Nothing is ever published there.
func (c *caller) holdAliveSubscription(ctx context.Context) {
	backoff := c.newBackoff()
	for ctx.Err() == nil {
		if c.subscribeAlive(ctx) {
			backoff.Reset()
		}
		backoff.Wait(ctx)
	}
}

// subscribeAlive returns when the subscription has ended, and reports whether
// there was one.
func (c *caller) subscribeAlive(ctx context.Context) (subscribed bool) {
	channel := c.server.subscribe(ctx, c.prefix+":alive:"+c.instance)
	defer channel.Close()
	defer context.AfterFunc(ctx, func() { channel.Close() })() // ends the wait below
	waiting := false
	for ctx.Err() == nil {
		_, err := channel.ReceiveTimeout(ctx, c.timing.Lease)
		switch {
		case err == nil:
			subscribed, waiting = true, false
		case !isTimeout(err) || waiting:
			return subscribed // broken, or it did not answer
		default:
			if channel.Ping(ctx) != nil {
				return subscribed
			}
			waiting = true
		}
	}
	return subscribed
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
