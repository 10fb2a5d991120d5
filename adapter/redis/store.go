// Package redis is the store of instances that share their state in Redis.
//
// # The protocol over Redis
//
// Each instance owns its entries and is the truth about them. Redis may lose
// data or get older ones back at any time, also while that is being put right.
// The rules, which docs/dev/architecture.md explains:
//
//  1. An instance's changes are a log with gapless versions. Redis carries out
//     a change only right behind the one before it; otherwise it leaves the
//     change out and says so (apply.lua).
//  2. So Redis' content for an instance is exactly its log up to a version
//     (state whole), or, between a reset and the next whole, the part of it that
//     is younger than the reset (state partial).
//  3. A rewrite is always complete: reset, all entries, whole. Only their
//     owner does it, when Redis has left out a change, says of it less than it
//     had confirmed, or shows something else than its entries.
//  4. Nobody else ever takes an entry for gone, but for: its owner's removal,
//     its owner's end in order, its owner's lease as observed by the failure
//     detector, all of which are announced; or a content of Redis that is not
//     older than what is known of the owner.
//  5. Announcements are a chain: each names the token of the one before. A
//     reader that misses a link compares everything (a resync) and goes on from
//     there. So it notices other data whatever numbers, ids and clocks say.
//  6. What a reader knows of an owner it does not take again: versions only
//     rise. Messages and sign-outs have a count of their own, by which each is
//     told once, also when its owner sends it again.
//
// TestSimulation runs random histories against these rules.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter"
	"rollcall/internal/ratelog"
	"rollcall/rooms"
)

// Store is the store of an instance that shares its state with others. It holds
// the state, which its goroutines share:
//
//   - a writer brings own changes to Redis (queue.go, write.go)
//   - a reader brings the others' and all messages here (read.go, others.go)
//   - a leaseKeeper renews the lease, and evicts instances that have failed
//     (lease.go, detector.go, compare.go)
//   - one holds a connection whose end shows that this process died (lease.go)
//   - one writes when users were active (records.go)
//   - a revocationReader follows whose tokens are revoked (messages.go)
//
// What Redis has wrong of the own entries is put right by a rewrite, what is wrong
// here of the others' by a resync.
type Store struct {
	caller
	grace    time.Duration
	handOver time.Duration
	batch    int // changes that one call carries at most
	format   int // of what is in Redis
	scripts  *scripts
	damage   damage
	client   goredis.UniversalClient // nil in the simulation
	wake     chan struct{}           // tells the writer that there is something to write
	written  chan struct{}           // tells Close that there is less to write

	queries, appQueries querySlots // of calls that ask for records

	revoked  *adapter.Revocations
	compared chan struct{}  // tells that everything was compared with Redis
	clock    *adapter.Clock // Redis', measured at each renewal of the lease

	running         context.Context // of the goroutines
	cancel          context.CancelFunc
	writing, living sync.WaitGroup // writer, lease and last activity; reader and connection
	closing         sync.Once
	closeErr        error

	// mu guards the fields below. No call to Redis is made under it, and none of
	// the watcher.
	mu     sync.Mutex
	own    ownState
	others othersState
	active lastActiveBuffer
	health health
	closed bool
}

var (
	_ rooms.Store   = (*Store)(nil)
	_ rooms.Records = (*Store)(nil)
)

// Open starts a store. It returns an error for options that cannot work,
// and none because Redis is not there: then it serves what it has, is not
// Ready, and catches up when Redis comes. ctx bounds the first attempt only.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Instance == "" {
		return nil, errors.New("redis store: the instance needs an id")
	}
	prefix := cmp.Or(o.Prefix, "rollcall")
	if strings.ContainsAny(prefix, "{}") {
		return nil, fmt.Errorf("redis store: the prefix %q must not contain braces", prefix)
	}
	connection, err := ParseURL(o.URL, o.TLSInsecure)
	if err != nil {
		return nil, err
	}
	o.Prefix = prefix
	if connection.Username != "" && connection.Password == "" {
		cmp.Or(o.Log, slog.New(slog.DiscardHandler)).Warn("the Redis URL names a user without a password, so nobody signs in there: a password alone is written behind a colon, redis://:password@host")
	}
	o.Timing.setDefaults()
	client := connect(connection, o.Timing)
	r := startStore(ctx, o, liveServer{client})
	r.client = client
	return r, nil
}

// startStore starts a store on a server, with options that are checked.
func startStore(ctx context.Context, o Options, server server) *Store {
	running, cancel := context.WithCancel(context.Background())
	r := &Store{
		caller: caller{
			instance: o.Instance,
			prefix:   "{" + o.Prefix + "}",
			timing:   o.Timing,
			server:   server,
			log:      cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		},
		grace:      o.Grace,
		handOver:   o.HandOver,
		batch:      cmp.Or(o.batch, maxBatch),
		format:     cmp.Or(o.limits.format, storeFormat),
		scripts:    productionScripts,
		damage:     damage{times: make(map[*luaScript]int)},
		compared:   make(chan struct{}, 1),
		wake:       make(chan struct{}, 1),
		written:    make(chan struct{}, 1),
		running:    running,
		cancel:     cancel,
		queries:    querySlots{taken: make(chan struct{}, maxQueries)},
		appQueries: querySlots{taken: make(chan struct{}, maxAppQueries)},
		revoked:    adapter.NewRevocations(),
		active:     newLastActiveBuffer(),
		clock:      adapter.NewClock(o.Timing.Now),
		own:        newOwnState(),
		others:     newOthersState(),
	}
	if o.limits != (limits{}) {
		r.scripts = newScripts(o.limits)
	}
	r.rejected = ratelog.New(r.log, "a value in Redis is not one of ours, and is left out")
	r.health.renewed = r.timing.Now()
	_ = reader{r}.resync(ctx, "start") // the reader goes on trying, from Watch on
	_ = revocationReader{r}.load(ctx)  // and so does its own goroutine
	keeper := &leaseKeeper{Store: r, detector: newFailureDetector()}
	r.writing.Go(func() { writer{r}.write(running) })
	r.writing.Go(func() { keeper.keep(running) })
	r.writing.Go(func() { r.writeLastActive(running) })
	r.living.Go(func() { revocationReader{r}.follow(running) })
	r.living.Go(func() { r.holdAliveSubscription(running) })
	return r
}

// Client is the store's connection to Redis, which Close ends.
func (r *Store) Client() goredis.UniversalClient { return r.client }

// Instance is the id of this instance, which all its entries carry.
func (r *Store) Instance() string { return r.instance }

// Now implements rooms.Store by Redis' clock.
func (r *Store) Now() int64 { return r.clock.Now() }

// Put implements rooms.Store.
func (r *Store) Put(e rooms.Entry) {
	e.Instance = r.instance
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	before, replaced := r.own.entries[e.EntryKey]
	active := before.active
	if adapter.IsActivity(before.Entry, replaced, e) {
		active = r.timing.Now().UnixMilli()
		if adapter.IsRemembered(e) {
			r.active.note(e.UserID, active, true)
		}
	}
	r.own.put(e, active)
	r.wakeWriter()
}

// Remove implements rooms.Store.
func (r *Store) Remove(place rooms.EntryKey, reason rooms.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && r.own.remove(place, reason) {
		r.wakeWriter()
	}
}

// Watch implements rooms.Store. It begins to read what the others do.
func (r *Store) Watch(f func([]rooms.Change)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others.feed.Watch(f)
	r.others.feed.Flush(&r.mu)
	r.living.Go(func() { reader{r}.read(r.running) })
	return func() { r.others.feed.Stop(&r.mu) }
}

// Close hands over: what is queued is written, the own entries are removed and
// announced, and the lease is evicted; with a grace or a time to hand over they
// are left to the others, which remove them when it is over. It ends all
// goroutines, whether or not Redis could be told before ctx ended; if not, the
// others find out by themselves and Close returns an error.
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
