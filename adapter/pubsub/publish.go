package pubsub

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/retry"
)

var errQueueFull = errors.New("too much is waiting to be published")

// publish writes what is queued, all of it in one round trip, until ctx ends.
func (b *Bus) publish(ctx context.Context) {
	timeout := b.options.PublishTimeout
	for {
		batch := b.queue.take(ctx)
		if batch == nil {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, timeout)
		backoff := retry.Backoff{First: timeout / 64, Max: timeout / 8}
		failed, err := b.write(bounded, batch)
		for isUnsent(err) && bounded.Err() == nil {
			backoff.Wait(bounded)
			failed, err = b.write(bounded, batch)
		}
		cancel()
		b.counts.published.Add(uint64(len(batch) - failed))
		if failed > 0 {
			b.drop(failed, err)
		}
		b.queue.done()
	}
}

// write publishes a batch and returns how many of it were not.
func (b *Bus) write(ctx context.Context, batch []outgoing) (failed int, err error) {
	replies, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, m := range batch {
			p.Publish(ctx, m.channel, m.payload)
		}
		return nil
	})
	for _, reply := range replies {
		if reply.Err() != nil {
			failed++
		}
	}
	if err != nil {
		failed = max(failed, 1) // whatever the replies say
	}
	return failed, err
}

// isUnsent reports whether there was no connection, so that another attempt
// cannot double anything. After any other failure Redis may have the messages.
func isUnsent(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && failed.Op == "dial"
}

func (b *Bus) drop(n int, err error) {
	b.counts.dropped.Add(uint64(n))
	b.lost.Note(err)
}
