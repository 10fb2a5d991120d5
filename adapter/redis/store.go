// Package redis is the store of instances that share their state in Redis.
//
// # The protocol over Redis
//
// Each instance owns its entries and is the truth about them. Redis may lose
// data or get older data back at any time, also during the repair. The rules,
// which docs/dev/architecture.md explains:
//
//  1. An instance's changes are a log with gapless versions. Redis carries out
//     a change only right behind the one before it; otherwise it leaves the
//     change out and says so (apply.lua).
//  2. So Redis' content for an instance is exactly its log up to a version
//     (state whole), or, between a reset and the next whole, the part of it that
//     is younger than the reset (state partial).
//  3. A rewrite is always complete: reset, all entries, whole. Only the owner
//     rewrites, when Redis has left out a change, has less than it had
//     confirmed, or has other entries.
//  4. Others remove an entry only when its removal, a rewrite without it, or the
//     end or eviction of its owner is announced; or when Redis lacks the entry
//     and is not behind what is known of its owner.
//  5. Announcements are a chain: each names the token of the one before. A
//     reader that misses a link compares everything (a resync) and goes on from
//     there. So it notices other data whatever numbers, ids and clocks say.
//  6. A reader takes each version of an owner once: versions only rise. Messages
//     and sign-outs have a count of their own, and so are delivered once, also
//     when their owner sends them again.
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
//   - a reader brings the others' changes and all messages here (read.go, others.go)
//   - a leaseKeeper renews the lease, and evicts instances that have failed
//     (lease.go, detector.go, compare.go)
//   - holdAliveSubscription holds a connection whose end shows that this process
//     died (lease.go)
//   - a lastActiveWriter writes when users were active (records.go)
//   - a revocationReader reads whose tokens are revoked (messages.go)
//
// A rewrite repairs what Redis has of the own entries; a resync repairs what
// this instance has of the others'.
type Store struct {
	caller
	grace    time.Duration
	handOver time.Duration
	batch    int // changes that one call carries at most
	scripts  *scripts
	wake     chan struct{} // tells the writer that there is something to write
	written  chan struct{} // tells Close that the queue is shorter

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
	damage damage
	closed bool
}

var (
	_ rooms.Store   = (*Store)(nil)
	_ rooms.Records = (*Store)(nil)
)

// Open starts a store. It returns an error only for options that cannot work.
// Without Redis the store serves what it has, is not Ready, and catches up when
// Redis is there. ctx bounds the first attempt only.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Instance == "" {
		return nil, errors.New("redis store: the instance needs an id")
	}
	if strings.ContainsAny(o.Prefix, "{}") {
		return nil, fmt.Errorf("redis store: the prefix %q must not contain braces", o.Prefix)
	}
	connection, err := ParseURL(o.URL, o.TLSInsecure)
	if err != nil {
		return nil, err
	}
	if connection.Username != "" && connection.Password == "" {
		cmp.Or(o.Log, slog.New(slog.DiscardHandler)).Warn("the Redis URL names a user without a password, so nobody signs in there: a password alone is written behind a colon, redis://:password@host")
	}
	o.Prefix = cmp.Or(o.Prefix, "rollcall")
	o.Timing.setDefaults()
	return startStore(ctx, o, liveServer{connect(connection, o.Timing)}), nil
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
		scripts:    productionScripts,
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
		health:     health{renewed: o.Timing.Now()},
		damage:     make(damage),
	}
	if o.limits != (limits{}) {
		r.scripts = newScripts(o.limits)
	}
	r.rejected = ratelog.New(r.log, "a value in Redis is not one of ours, and is left out")
	_ = reader{r}.resync(ctx, "start") // the reader goes on trying, from Watch on
	_ = revocationReader{r}.load(ctx)  // and so does its own goroutine
	keeper := &leaseKeeper{Store: r, detector: newFailureDetector()}
	r.writing.Go(func() { writer{r}.write(running) })
	r.writing.Go(func() { keeper.keep(running) })
	r.writing.Go(func() { lastActiveWriter{r}.write(running) })
	r.living.Go(func() { revocationReader{r}.follow(running) })
	r.living.Go(func() { r.holdAliveSubscription(running) })
	return r
}

// Client is the store's connection to Redis, which Close ends.
func (r *Store) Client() goredis.UniversalClient { return r.server.(liveServer).UniversalClient }

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

// Watch implements rooms.Store. It starts the reader.
func (r *Store) Watch(f func([]rooms.Change)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others.feed.Watch(f)
	r.others.feed.Flush(&r.mu)
	r.living.Go(func() { reader{r}.read(r.running) })
	return func() { r.others.feed.Stop(&r.mu) }
}

// Close writes what is queued, removes the own entries and ends the lease. With a
// grace or a time to hand over, the entries stay until the others evict this
// instance when that time is over. Close ends all goroutines. If Redis could not
// be told within ctx, the others detect the end themselves, and Close returns an
// error.
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
		err = errors.Join(lastActiveWriter{r}.flush(ctx), r.endLease(ctx))
	}
	r.disconnect()
	if err != nil {
		return fmt.Errorf("redis: hand over: %w", err)
	}
	return nil
}

// endLease removes the entries and the lease, or leaves them to the others.
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

// disconnect ends all connections and goroutines. The reader waits in a call,
// which only the end of its connection ends at once.
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
			return errors.New("lost Redis")
		}
		select {
		case <-r.written:
		case <-time.After(r.timing.Renew): // Redis may be gone meanwhile
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
