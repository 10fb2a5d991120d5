package adapter

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/rooms"
)

// BusOptions configures a Redis bus. The zero value of each field means its
// default.
type BusOptions struct {
	// Key is what the channels' names begin with, as in the options of the
	// official adapter and emitter. Default "socket.io".
	Key string
	// MaxMessage bounds the payload of one message from elsewhere, in bytes:
	// a larger one is refused. Default 1 MiB.
	MaxMessage int
	// MaxQueue bounds what waits to be published, in bytes; what does not fit
	// is dropped. Default 8 MiB.
	MaxQueue int
	// Silence is how long nothing may be heard from Redis before the
	// connection counts as dead. Default 3 s.
	Silence time.Duration
	// Patience is how long a message may wait for a connection to Redis; then
	// it is dropped. Default 3 s.
	Patience time.Duration
	// Log gets what an operator should know. Default: nothing is logged.
	Log *slog.Logger
}

func (o *BusOptions) setDefaults() {
	o.Key = cmp.Or(o.Key, "socket.io")
	o.MaxMessage = cmp.Or(o.MaxMessage, 1<<20)
	o.MaxQueue = cmp.Or(o.MaxQueue, 8<<20)
	o.Silence = cmp.Or(o.Silence, 3*time.Second)
	o.Patience = cmp.Or(o.Patience, 3*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
}

// RedisBus is a bus over Redis pub/sub, in the format of the official
// @socket.io/redis-adapter: whatever speaks that, such as
// @socket.io/redis-emitter, is one more publisher, and Node servers with that
// adapter are further instances.
//
// Pub/sub is at most once: what is published while an instance has no
// connection to Redis does not reach it later. Nor is anything published twice:
// what could not be written is dropped and counted.
//
// It does not subscribe to the official adapter's request channel. That is what
// a Node server counts its peers by and then waits for; not being counted, an
// instance is never waited for, not even if it is stopped or cut off.
type RedisBus struct {
	client      redis.UniversalClient
	options     BusOptions
	uid         string // ours among all publishers
	channel     string
	subscribers subscribers
	queue       queue
	counts      busCounts
	unheard     occasional // messages that were refused
	unsaid      occasional // and those that were dropped
	listening   atomic.Bool

	cancel  context.CancelFunc
	running sync.WaitGroup // the publisher and the listener
	closing sync.Once
}

var _ rooms.Bus = (*RedisBus)(nil)

// NewRedisBus starts a bus on a client, which stays the caller's and must live
// longer. It does not wait for Redis. The bus has two goroutines, which end
// with Close: the publisher empties the queue, the listener hears the others.
func NewRedisBus(client redis.UniversalClient, o BusOptions) *RedisBus {
	o.setDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	b := &RedisBus{
		client:  client,
		options: o,
		uid:     "rollcall-" + strings.ToLower(rand.Text()[:12]),
		channel: o.Key + "#" + mainNamespace + "#",
		queue:   newQueue(o.MaxQueue),
		unheard: occasional{log: o.Log, text: "a message from Redis cannot be brought to clients"},
		unsaid:  occasional{log: o.Log, text: "a message does not reach other instances"},
		cancel:  cancel,
	}
	b.running.Go(func() { b.publish(ctx) })
	b.running.Go(func() { b.listen(ctx) })
	return b
}

// OpenBus starts a bus on the store's connection to Redis. It must be closed
// before the store is.
func (r *Redis) OpenBus(o BusOptions) *RedisBus { return NewRedisBus(r.client, o) }

// Publish implements rooms.Bus.
func (b *RedisBus) Publish(m rooms.Message) {
	err := checkMessage(m)
	var payload []byte
	if err == nil {
		payload, err = encodePacket(b.uid, m)
	}
	if err != nil { // nowhere rather than here only
		b.counts.refused.Add(1)
		b.unsaid.note(err)
		return
	}
	channel := b.channel
	if len(m.Rooms) == 1 { // so that Node servers without that room need not decode it
		channel += m.Rooms[0] + "#"
	}
	// Queued in the order in which it is told here.
	var queued bool
	b.subscribers.tellAnd(m, func() { queued = b.queue.add(channel, payload) })
	if !queued {
		b.dropped(1, errQueueFull)
	}
}

// Subscribe implements rooms.Bus.
func (b *RedisBus) Subscribe(f func(rooms.Message)) (stop func()) { return b.subscribers.add(f) }

// Close publishes what is queued, for as long as ctx lasts, and ends the bus.
// Afterwards messages go to this instance's subscribers only.
func (b *RedisBus) Close(ctx context.Context) error {
	var err error
	b.closing.Do(func() {
		select {
		case <-b.queue.close():
		case <-ctx.Done():
			err = fmt.Errorf("redis bus: publish what is queued: %w", ctx.Err())
		}
		b.cancel()
		b.running.Wait()
	})
	return err
}

// Listening tells whether other instances are heard at the moment.
func (b *RedisBus) Listening() bool { return b.listening.Load() }

// Ready is nil if other instances are heard; else it says what is wrong.
func (b *RedisBus) Ready() error {
	if !b.Listening() {
		return errors.New("redis: messages from other instances are not heard")
	}
	return nil
}

// publish writes what is queued, all of it in one round trip.
func (b *RedisBus) publish(ctx context.Context) {
	for {
		batch := b.queue.take(ctx)
		if batch == nil {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, b.options.Patience)
		pause := backoff{first: b.options.Patience / 64, most: b.options.Patience / 8}
		lost, err := b.write(bounded, batch)
		for unsent(err) && bounded.Err() == nil {
			sleep(bounded, pause.pause())
			lost, err = b.write(bounded, batch)
		}
		cancel()
		b.counts.published.Add(uint64(len(batch) - lost))
		if lost > 0 {
			b.dropped(lost, err)
		}
		b.queue.done()
	}
}

// write publishes a batch and returns how many of it were not.
func (b *RedisBus) write(ctx context.Context, batch []outgoing) (lost int, err error) {
	replies, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, m := range batch {
			p.Publish(ctx, m.channel, m.payload)
		}
		return nil
	})
	for _, reply := range replies {
		if reply.Err() != nil {
			lost++
		}
	}
	if err != nil {
		lost = max(lost, 1) // whatever the replies say
	}
	return lost, err
}

// unsent tells that there was no connection, so that nothing can be doubled by
// trying again. After any other failure Redis may have had it.
func unsent(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && failed.Op == "dial"
}

func (b *RedisBus) dropped(n int, err error) {
	b.counts.dropped.Add(uint64(n))
	b.unsaid.note(err)
}

// listen hears the others until ctx ends, over one connection after another.
func (b *RedisBus) listen(ctx context.Context) {
	lost := false // and the log says so
	pause := backoff{first: b.options.Silence / 64, most: b.options.Silence / 4}
	for {
		err := b.hear(ctx, func() {
			pause.reset()
			b.listening.Store(true)
			if lost {
				b.options.Log.Info("messages from other instances are heard again")
			}
			lost = false
		})
		b.listening.Store(false)
		if ctx.Err() != nil {
			return
		}
		if !lost { // once, however often it is tried
			b.options.Log.Warn("messages from other instances are not heard", "error", err)
		}
		lost = true
		sleep(ctx, pause.pause())
	}
}

// hear subscribes and takes messages until the connection fails.
func (b *RedisBus) hear(ctx context.Context, subscribed func()) error {
	sub := b.client.PSubscribe(ctx, patternFor(b.channel))
	var pinging sync.WaitGroup
	defer pinging.Wait()
	ended := make(chan struct{})
	defer close(ended)
	defer sub.Close()
	pinging.Go(func() { // so that silence means something, and Close ends it
		tick := time.NewTicker(b.options.Silence / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = sub.Ping(ctx) // that it failed shows in Receive
			case <-ctx.Done():
				sub.Close()
				return
			case <-ended:
				return
			}
		}
	})
	for {
		got, err := sub.ReceiveTimeout(ctx, b.options.Silence)
		if err != nil {
			return err
		}
		switch got := got.(type) {
		case *redis.Subscription:
			subscribed()
		case *redis.Message:
			b.take(got.Payload)
		}
	}
}

// take brings a message from elsewhere to the subscribers.
func (b *RedisBus) take(payload string) {
	m, err := rooms.Message{}, errTooLarge
	if len(payload) <= b.options.MaxMessage {
		m, err = decodePacket([]byte(payload), b.uid)
	}
	switch {
	case errors.Is(err, errNotForUs):
	case err != nil:
		b.counts.refused.Add(1)
		b.unheard.note(err)
	default:
		b.counts.received.Add(1)
		b.subscribers.tell(m)
	}
}

var (
	errTooLarge  = errors.New("it is too large")
	errQueueFull = errors.New("too much is waiting to be published")
)

// patternFor matches every channel whose name begins so.
func patternFor(begin string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(begin) + "*"
}
