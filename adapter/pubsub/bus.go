// Package pubsub is the bus of instances that share a Redis: messages in the
// format of the official @socket.io/redis-adapter, over Redis pub/sub. Whatever
// speaks that, such as @socket.io/redis-emitter, is one more publisher, and Node
// servers with that adapter are further instances.
//
// Pub/sub is at most once: a message that is published while an instance has no
// connection to Redis does not reach it later. Nor is a message published twice:
// one that could not be written is dropped and counted.
//
// The bus does not subscribe to the official adapter's request channel. A Node
// server counts that channel's subscribers and waits for an answer from each, so
// it never waits for an instance, not even for one that hangs.
package pubsub

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/adapter/memory"
	"rollcall/internal/ratelog"
	"rollcall/internal/retry"
	"rollcall/rooms"
)

// Options configures a bus. The zero value of each field means its default.
type Options struct {
	// Key is what the channels' names begin with, as in the options of the
	// official adapter and emitter. Default "socket.io".
	Key string
	// MaxMessage bounds the payload of one message of another publisher, in bytes: a
	// larger one is refused. Default 1 MiB.
	MaxMessage int
	// MaxQueue bounds the messages that wait to be published, in bytes; one that
	// does not fit is dropped. Default 8 MiB.
	MaxQueue int
	// IdleTimeout is how long Redis may send nothing, not even the answer to a
	// ping, before the connection counts as dead. Default 3 s.
	IdleTimeout time.Duration
	// PublishTimeout is how long a message may wait for a connection to Redis;
	// then it is dropped. Default 3 s.
	PublishTimeout time.Duration
	// Log gets what an operator should know. Default: nothing is logged.
	Log *slog.Logger
}

func (o *Options) setDefaults() {
	o.Key = cmp.Or(o.Key, "socket.io")
	o.MaxMessage = cmp.Or(o.MaxMessage, 1<<20)
	o.MaxQueue = cmp.Or(o.MaxQueue, 8<<20)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 3*time.Second)
	o.PublishTimeout = cmp.Or(o.PublishTimeout, 3*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
}

// Bus is a rooms.Bus over Redis pub/sub. Two goroutines, which end with Close,
// empty the queue (publish.go) and receive the others' messages.
type Bus struct {
	client    redis.UniversalClient
	options   Options
	uid       string     // of this instance among all publishers
	channel   string     // of messages to several rooms, or to all sockets
	local     memory.Bus // this instance's subscribers
	queue     queue
	counts    counts
	rejected  *ratelog.Warning // messages of other publishers
	lost      *ratelog.Warning // messages of this instance
	listening atomic.Bool

	cancel    context.CancelFunc
	running   sync.WaitGroup
	published chan struct{} // closed when the goroutine that publishes has ended
	closing   sync.Once
}

var _ rooms.Bus = (*Bus)(nil)

// New starts a bus on a client, which stays the caller's and must live longer.
// It does not wait for Redis.
func New(client redis.UniversalClient, o Options) *Bus {
	o.setDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	b := &Bus{
		client:    client,
		options:   o,
		uid:       "rollcall-" + strings.ToLower(rand.Text()[:12]),
		channel:   o.Key + "#" + mainNamespace + "#",
		queue:     queue{maxBytes: o.MaxQueue, wake: make(chan struct{}, 1)},
		rejected:  ratelog.New(o.Log, "a message from Redis cannot be brought to clients"),
		lost:      ratelog.New(o.Log, "a message does not reach other instances"),
		cancel:    cancel,
		published: make(chan struct{}),
	}
	b.running.Go(func() { defer close(b.published); b.publish(ctx) })
	b.running.Go(func() { b.receive(ctx) })
	return b
}

// Publish implements rooms.Bus. A message that cannot be encoded for the others
// does not reach this instance's subscribers either.
func (b *Bus) Publish(m rooms.Broadcast) {
	err := memory.CheckMessage(m)
	var payload []byte
	if err == nil {
		payload, err = encode(b.uid, m)
	}
	if err != nil {
		b.counts.refused.Add(1)
		b.lost.Note(err)
		return
	}
	channel := b.channel
	if len(m.Rooms) == 1 { // so that Node servers without that room need not decode it
		channel += m.Rooms[0] + "#"
	}
	if !b.queue.add(channel, payload) {
		b.drop(1, errQueueFull)
	}
	b.local.Deliver(m)
}

// Subscribe implements rooms.Bus.
func (b *Bus) Subscribe(f func(rooms.Broadcast)) (stop func()) { return b.local.Subscribe(f) }

// Close publishes what is queued, within ctx, and ends the bus. Afterwards messages
// reach this instance's subscribers only.
func (b *Bus) Close(ctx context.Context) error {
	var err error
	b.closing.Do(func() {
		b.queue.close()
		select {
		case <-b.published:
		case <-ctx.Done():
			err = fmt.Errorf("redis bus: publish what is queued: %w", ctx.Err())
		}
		b.cancel()
		b.running.Wait()
	})
	return err
}

// Ready is nil while messages from other instances are received.
func (b *Bus) Ready() error {
	if !b.listening.Load() {
		return errors.New("redis: messages from other instances are not received")
	}
	return nil
}

// Stats is what a bus counts. All but Queued only rise.
type Stats struct {
	// Published messages were written to Redis; Dropped ones were not, because too
	// much was queued or Redis was gone.
	Published, Dropped uint64
	// Received messages of other publishers went to the subscribers.
	Received uint64
	// Refused messages, of other publishers or of this instance, reached nobody: too
	// large, malformed, binary, or with a name that no event may have.
	Refused uint64
	// Queued is how many bytes are queued now.
	Queued int
}

type counts struct{ published, dropped, received, refused atomic.Uint64 }

// Stats returns the counters.
func (b *Bus) Stats() Stats {
	return Stats{
		Published: b.counts.published.Load(),
		Dropped:   b.counts.dropped.Load(),
		Received:  b.counts.received.Load(),
		Refused:   b.counts.refused.Load(),
		Queued:    b.queue.size(),
	}
}

var errTooLarge = errors.New("it is too large")

// receive delivers the others' messages until ctx ends, over one connection
// after another.
func (b *Bus) receive(ctx context.Context) {
	logged := false // that no messages are received
	backoff := retry.Backoff{First: b.options.IdleTimeout / 64, Max: b.options.IdleTimeout / 4}
	for {
		err := b.receiveOnce(ctx, func() {
			backoff.Reset()
			b.listening.Store(true)
			if logged {
				b.options.Log.Info("messages from other instances are received again")
			}
			logged = false
		})
		b.listening.Store(false)
		if ctx.Err() != nil {
			return
		}
		if !logged {
			b.options.Log.Warn("messages from other instances are not received", "error", err)
		}
		logged = true
		backoff.Wait(ctx)
	}
}

// receiveOnce subscribes and delivers messages until the connection fails or ctx ends.
func (b *Bus) receiveOnce(ctx context.Context, subscribed func()) error {
	sub := b.client.PSubscribe(ctx, patternFor(b.channel))
	var pinging sync.WaitGroup
	defer pinging.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pinging.Go(func() { // without answers the timeout below ends the connection
		defer sub.Close()
		pause := b.options.IdleTimeout / 3
		for retry.Sleep(ctx, pause); ctx.Err() == nil; retry.Sleep(ctx, pause) {
			_ = sub.Ping(ctx) // a failure shows when receiving
		}
	})
	for {
		got, err := sub.ReceiveTimeout(ctx, b.options.IdleTimeout)
		if err != nil {
			return err
		}
		switch got := got.(type) {
		case *redis.Subscription:
			subscribed()
		case *redis.Message:
			b.deliver(got.Payload)
		}
	}
}

// deliver calls the subscribers with a message of another publisher.
func (b *Bus) deliver(payload string) {
	m, err := rooms.Broadcast{}, errTooLarge
	if len(payload) <= b.options.MaxMessage {
		m, err = decode([]byte(payload), b.uid)
	}
	switch {
	case errors.Is(err, errNotForUs):
	case err != nil:
		b.counts.refused.Add(1)
		b.rejected.Note(err)
	default:
		b.counts.received.Add(1)
		b.local.Deliver(m)
	}
}

// patternFor is the pattern of all channels whose names begin with a text.
func patternFor(begin string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(begin) + "*"
}
