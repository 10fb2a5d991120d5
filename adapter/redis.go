package adapter

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/rooms"
)

// RedisOptions configures a Redis store. The zero value of each field but URL
// and Instance means its default.
type RedisOptions struct {
	// URL says where Redis is; see ParseRedisURL.
	URL string
	// TLSInsecure accepts any certificate, as Heroku's self-signed ones need.
	TLSInsecure bool
	// Prefix of all keys, which puts them into one hash tag. One deployment is
	// one prefix. Default "rollcall".
	Prefix string
	// Instance names this process for as long as it runs: no other process
	// ever has the same. See InstanceID.
	Instance string
	// Grace is how long the entries of an instance that went away stay, by
	// itself or not, so that its users can come back elsewhere unseen. All
	// instances of a deployment must agree on it. Default 0.
	Grace time.Duration
	// Log gets what an operator should know. Default: nothing is logged.
	Log *slog.Logger
	// Timing has the intervals; production needs no others than the defaults.
	Timing RedisTiming
}

// RedisTiming is how long things take. Leases are measured by Redis' clock
// alone; the local one only says how long something has lasted.
type RedisTiming struct {
	// Renew is the pause between two renewals of the lease. Default 1 s.
	Renew time.Duration
	// Lease is how long an instance is believed in without one. All instances
	// of a deployment must agree on it. Default 3 s.
	Lease time.Duration
	// Silence is how long a living instance may be without a connection and a
	// renewal before the others take it for dead, counted from its last
	// renewal. Default 1.5 s.
	Silence time.Duration
	// Call bounds one call to Redis. Default 1 s; a snapshot has five times it.
	Call time.Duration
	// Block is how long the reader waits for news in one call. Default 1 s.
	Block time.Duration
	// Lag is how long the reader may be behind and not get on before it starts
	// afresh.
	// Default 1 s.
	Lag time.Duration
	// MaxGather is the longest that changes are gathered for one call in a
	// storm. The first after quiet never waits. Default 30 ms.
	MaxGather time.Duration
	// MaxBackoff bounds the pause between attempts while Redis is gone; it must
	// be well below Lease, so that nobody is taken for dead who is only on its
	// way back. Default 500 ms.
	MaxBackoff time.Duration
	// Now is the local clock. Default time.Now.
	Now func() time.Time
}

func (t *RedisTiming) setDefaults() {
	t.Renew = cmp.Or(t.Renew, time.Second)
	t.Lease = cmp.Or(t.Lease, 3*time.Second)
	t.Silence = cmp.Or(t.Silence, 1500*time.Millisecond)
	t.Call = cmp.Or(t.Call, time.Second)
	t.Block = cmp.Or(t.Block, time.Second)
	t.Lag = cmp.Or(t.Lag, time.Second)
	t.MaxGather = cmp.Or(t.MaxGather, 30*time.Millisecond)
	t.MaxBackoff = cmp.Or(t.MaxBackoff, 500*time.Millisecond)
	if t.Now == nil {
		t.Now = time.Now
	}
}

const (
	// maxStream bounds the announcements kept in Redis, about. A reader that
	// was away for more takes a snapshot.
	maxStream = 10_000
	// keepProgress is how long Redis remembers an instance that went away.
	keepProgress = 24 * time.Hour
)

// InstanceID makes an instance's id of a configured name: a restart under the
// same name is another instance.
func InstanceID(name string) string {
	return cmp.Or(name, "rollcall") + "-" + strings.ToLower(rand.Text()[:8])
}

// Redis is the store of an instance that shares its map with others. It has
// four goroutines: the writer brings own changes to Redis, the reader brings
// the others' here, one holds the lease and looks after the others', and one
// keeps a connection open whose end shows our death early.
//
// Of own sockets this process is the truth, of the others' Redis is: what is
// wrong on either side is put right by a repair (redis_repair.go).
type Redis struct {
	instance string
	prefix   string // in its hash tag: {rollcall}
	timing   RedisTiming
	grace    time.Duration
	log      *slog.Logger
	client   redis.UniversalClient
	counters counters
	wake     chan struct{} // tells the writer that there is something to write
	written  chan struct{} // tells Close that there is less to write

	cancel          context.CancelFunc
	writing, living sync.WaitGroup // writer and lease; reader and connection
	closing         sync.Once
	closeErr        error

	// replica has every entry, own and others', and tells the watchers. It is
	// changed under mu only, so that it goes in step with the rest; Watch
	// needs no more than the replica's own lock.
	replica *Memory

	// mu guards the fields below. No call to Redis is made under it.
	mu     sync.Mutex
	own    ownState
	others othersState
	health health
	closed bool
}

var _ rooms.Store = (*Redis)(nil)

// OpenRedis starts a store. It returns an error for options that cannot work,
// and none because Redis is not there: then it serves what it has, is not
// Ready, and catches up when Redis comes. ctx bounds the first attempt only.
func OpenRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	if o.Instance == "" {
		return nil, errors.New("redis store: the instance needs an id")
	}
	prefix := cmp.Or(o.Prefix, "rollcall")
	if strings.ContainsAny(prefix, "{}") {
		return nil, fmt.Errorf("redis store: the prefix %q must not contain braces", prefix)
	}
	connection, err := ParseRedisURL(o.URL, o.TLSInsecure)
	if err != nil {
		return nil, err
	}
	o.Timing.setDefaults()
	running, cancel := context.WithCancel(context.Background())
	r := &Redis{
		instance: o.Instance,
		prefix:   "{" + prefix + "}",
		timing:   o.Timing,
		grace:    o.Grace,
		log:      cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		client:   connect(connection, o.Timing),
		wake:     make(chan struct{}, 1),
		written:  make(chan struct{}, 1),
		cancel:   cancel,
		replica:  NewMemory(),
		own:      newOwnState(),
		others:   newOthersState(),
	}
	r.health.start(r.timing.Now())
	_ = r.repair(ctx, "start") // the reader goes on trying
	r.writing.Go(func() { r.write(running) })
	r.writing.Go(func() { r.holdLease(running) })
	r.living.Go(func() { r.read(running) })
	r.living.Go(func() { r.showLife(running) })
	return r, nil
}

// Instance is the id of this instance, which all its entries carry.
func (r *Redis) Instance() string { return r.instance }

// Put implements rooms.Store.
func (r *Redis) Put(e rooms.Entry) {
	e.Instance = r.instance
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.own.put(e)
	r.replica.Put(e)
	r.wakeWriter()
}

// Remove implements rooms.Store.
func (r *Redis) Remove(place rooms.Place, reason rooms.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || !r.own.remove(place.Key, reason) {
		return
	}
	r.replica.Remove(place, reason)
	r.wakeWriter()
}

// Say implements rooms.Store.
func (r *Redis) Say(room, username, content string) error {
	return r.replica.Say(room, username, content)
}

// SignOut implements rooms.Store.
func (r *Redis) SignOut(user string) { r.replica.SignOut(user) }

// Touch implements rooms.Store.
func (r *Redis) Touch(user string, at int64) { r.replica.Touch(user, at) }

// LastActive implements rooms.Records.
func (r *Redis) LastActive(ctx context.Context, user string) (int64, error) {
	return r.replica.LastActive(ctx, user)
}

// History implements rooms.Records.
func (r *Redis) History(ctx context.Context, room string) ([]rooms.Said, error) {
	return r.replica.History(ctx, room)
}

// Watch implements rooms.Store. The snapshot has been told when it returns.
func (r *Redis) Watch(f func(rooms.Change)) (stop func()) { return r.replica.Watch(f) }

// Close hands over: what is queued is written, the own entries are removed and
// announced, and the lease is given up; with a grace they are left to the
// others, who remove them when it is over. It ends all goroutines, whether or
// not Redis could be told before ctx ended; if not, the others find out by
// themselves and Close says so.
func (r *Redis) Close(ctx context.Context) error {
	r.closing.Do(func() { r.closeErr = r.close(ctx) })
	return r.closeErr
}

func (r *Redis) close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	if r.grace == 0 {
		for socket := range r.own.entries {
			r.replica.Remove(rooms.Place{Key: socket}, rooms.Closed)
		}
	}
	r.mu.Unlock()
	err := r.drain(ctx)
	r.cancel()
	r.writing.Wait() // from here on nobody renews the lease that is given up
	if err == nil {
		err = r.leave(ctx)
	}
	r.disconnect()
	if err != nil {
		return fmt.Errorf("redis: hand over: %w", err)
	}
	return nil
}

// leave gives up the entries and the lease, or leaves them for the grace.
func (r *Redis) leave(ctx context.Context) error {
	why := leaving
	if r.grace > 0 {
		why = handingOver
	}
	backoff := r.newBackoff()
	for {
		_, err := r.bury(ctx, r.instance, why, "", rooms.Closed)
		if err == nil || ctx.Err() != nil || backoff.next == r.timing.MaxBackoff {
			return err
		}
		sleep(ctx, backoff.pause())
	}
}

// disconnect ends what is left. The reader waits in a call, which only the end
// of its connection ends at once.
func (r *Redis) disconnect() {
	r.cancel()
	r.client.Close()
	r.writing.Wait()
	r.living.Wait()
}

// drain waits until everything is written.
func (r *Redis) drain(ctx context.Context) error {
	for {
		r.mu.Lock()
		left, gone := len(r.own.queue), r.health.gone
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
