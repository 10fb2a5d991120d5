package pubsub

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/retry"
	"rollcall/rooms"
)

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

// receiveOnce subscribes and delivers messages until the connection fails.
func (b *Bus) receiveOnce(ctx context.Context, subscribed func()) error {
	sub := b.client.PSubscribe(ctx, patternFor(b.channel))
	var pinging sync.WaitGroup
	defer pinging.Wait()
	ended := make(chan struct{})
	defer close(ended)
	defer sub.Close()
	pinging.Go(func() { // without answers the timeout below ends the connection
		tick := time.NewTicker(b.options.IdleTimeout / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = sub.Ping(ctx) // a failure shows when receiving
			case <-ctx.Done():
				sub.Close()
				return
			case <-ended:
				return
			}
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

// deliver calls the subscribers with a message from elsewhere.
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

// patternFor matches every channel whose name begins so.
func patternFor(begin string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(begin) + "*"
}
