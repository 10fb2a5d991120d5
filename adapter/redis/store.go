package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter"
	"rollcall/internal/ratelog"
	"rollcall/rooms"
)

// Store is the store of an instance that shares its state with others. It has
// six goroutines: the writer brings own changes to Redis, the reader brings
// the others' and all messages here, one holds the lease and looks after the
// others', one keeps a connection open whose end shows our death early, and
// one notes who was active.
//
// Of own entries this process is the truth, of the others' Redis is: the rules
// are in doc.go. What is wrong with the own ones in Redis is put back
// (queue.go), what is wrong with the others' here is put right by a resync
// (resync.go).
type Store struct {
	instance string
	prefix   string // in its hash tag: {rollcall}
	timing   Timing
	grace    time.Duration
	handOver time.Duration
	batch    int // changes that one call carries at most
	format   int // of what is in Redis
	scripts  *scripts
	log      *slog.Logger
	client   goredis.UniversalClient // nil in the simulation
	server   server
	counters counters
	wake     chan struct{} // tells the writer that there is something to write
	written  chan struct{} // tells Close that there is less to write

	queries, appQueries querySlots // of calls that ask for records

	revoked  adapter.Revocations
	compared chan struct{} // tells that everything was compared with Redis

	clock    *adapter.Clock   // Redis', measured at each renewal of the lease
	tokens   atomic.Uint64    // given out
	rejected *ratelog.Warning // values in Redis that no client may get
	damage   damage

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
	feed   adapter.Feed
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
		instance:   o.Instance,
		prefix:     "{" + o.Prefix + "}",
		timing:     o.Timing,
		grace:      o.Grace,
		handOver:   o.HandOver,
		batch:      cmp.Or(o.batch, maxBatch),
		format:     cmp.Or(o.limits.format, storeFormat),
		scripts:    productionScripts,
		log:        cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		server:     server,
		compared:   make(chan struct{}, 1),
		wake:       make(chan struct{}, 1),
		written:    make(chan struct{}, 1),
		running:    running,
		cancel:     cancel,
		queries:    querySlots{taken: make(chan struct{}, maxQueries)},
		appQueries: querySlots{taken: make(chan struct{}, maxAppQueries)},
		active:     newLastActiveBuffer(),
		clock:      adapter.NewClock(o.Timing.Now),
		own:        newOwnState(),
		others:     newOthersState(),
	}
	if o.limits != (limits{}) {
		r.scripts = newScripts(o.limits)
	}
	r.rejected = ratelog.New(r.log, "a value in Redis is not one of ours, and is left out")
	r.health.start(r.timing.Now())
	_ = r.resync(ctx, "start") // the reader goes on trying, from Watch on
	_ = r.loadRevoked(ctx)     // followRevoked does
	r.writing.Go(func() { r.write(running) })
	r.writing.Go(func() { r.holdLease(running) })
	r.writing.Go(func() { r.writeLastActive(running) })
	r.living.Go(func() { r.followRevoked(running) })
	r.living.Go(func() { r.holdAliveSubscription(running) })
	return r
}

// Client is the store's connection to Redis, which Close ends.
func (r *Store) Client() goredis.UniversalClient { return r.client }

// Instance is the id of this instance, which all its entries carry.
func (r *Store) Instance() string { return r.instance }

// Now implements rooms.Store by Redis' clock.
func (r *Store) Now() int64 { return r.clock.Now() }

// newToken names one call among those of all instances.
func (r *Store) newToken() string {
	return r.instance + "." + strconv.FormatUint(r.tokens.Add(1), 36)
}

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
	r.feed.Watch(f)
	r.feed.Flush(&r.mu)
	r.living.Go(func() { r.read(r.running) })
	return func() { r.feed.Stop(&r.mu) }
}
