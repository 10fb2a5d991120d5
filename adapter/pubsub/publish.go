package pubsub

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/retry"
)

var errQueueFull = errors.New("too much is waiting to be published")

// An outgoing message is a payload and where to publish it.
type outgoing struct {
	channel string
	payload []byte
}

// cost is what a message takes of the queue's bound: its bytes, and what holds
// them.
func (m outgoing) cost() int { return len(m.channel) + len(m.payload) + 64 }

// A queue holds what is to be published. One goroutine takes from it.
type queue struct {
	maxBytes int
	wake     chan struct{} // wakes the taker

	// mu guards the fields below.
	mu      sync.Mutex
	waiting []outgoing
	bytes   int // of waiting and of the batch taken last
	taken   int // of that batch, until the next is taken
	closed  bool
}

// add queues a message. It reports false if the message does not fit, or the
// queue is closed.
func (q *queue) add(channel string, payload []byte) bool {
	m := outgoing{channel, payload}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes+m.cost() > q.maxBytes {
		return false
	}
	q.waiting = append(q.waiting, m)
	q.bytes += m.cost()
	q.wakeTaker()
	return true
}

func (q *queue) wakeTaker() {
	select {
	case q.wake <- struct{}{}:
	default: // it is awake
	}
}

// take waits for messages and returns all there are; nil when ctx has ended, or
// the queue is closed and empty. It releases the bytes of the last batch.
func (q *queue) take(ctx context.Context) []outgoing {
	for {
		q.mu.Lock()
		batch, closed := q.waiting, q.closed
		q.waiting, q.bytes = nil, q.bytes-q.taken
		q.taken = q.bytes
		q.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		if len(batch) > 0 || closed {
			return batch
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// close ends adding, and lets take return what is left.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wakeTaker()
}

// publish writes what is queued, all of it in one round trip, until ctx ends or
// the queue is closed and empty.
func (b *Bus) publish(ctx context.Context) {
	timeout := b.options.PublishTimeout
	for batch := b.queue.take(ctx); batch != nil; batch = b.queue.take(ctx) {
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
