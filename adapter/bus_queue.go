package adapter

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

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
	most  int           // bytes
	added chan struct{} // tells the taker that there is something
	empty chan struct{} // closed when the queue is closed and nothing is left

	// mu guards the fields below.
	mu      sync.Mutex
	waiting []outgoing
	bytes   int // of those waiting and those taken
	taken   int // bytes of the last batch, until it is done
	closed  bool
}

func newQueue(most int) queue {
	return queue{most: most, added: make(chan struct{}, 1), empty: make(chan struct{})}
}

// add queues a message unless it does not fit.
func (q *queue) add(channel string, payload []byte) bool {
	m := outgoing{channel, payload}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes+m.cost() > q.most {
		return false
	}
	q.waiting = append(q.waiting, m)
	q.bytes += m.cost()
	select {
	case q.added <- struct{}{}:
	default: // told already
	}
	return true
}

// take waits for messages and returns all there are; nil when ctx has ended.
// Each batch is followed by done.
func (q *queue) take(ctx context.Context) []outgoing {
	for {
		q.mu.Lock()
		batch := q.waiting
		q.waiting, q.taken = nil, q.bytes
		q.mu.Unlock()
		if len(batch) > 0 && ctx.Err() == nil {
			return batch
		}
		select {
		case <-q.added:
		case <-ctx.Done():
			return nil
		}
	}
}

// done tells that the last batch is dealt with.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= q.taken
	q.taken = 0
	q.settle()
}

// close ends adding. The channel it returns closes when nothing is left.
func (q *queue) close() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.settle()
	return q.empty
}

// settle notes that a closed queue is empty. mu is held.
func (q *queue) settle() {
	if q.closed && q.bytes == 0 {
		select {
		case <-q.empty:
		default:
			close(q.empty)
		}
	}
}

// BusStats is what a Redis bus counts. The counters only rise.
type BusStats struct {
	// Published messages were given to Redis; Dropped ones were not, because
	// too much was waiting or Redis was not there.
	Published, Dropped uint64
	// Received messages came from elsewhere and went to the subscribers.
	Received uint64
	// Refused messages, from elsewhere or from here, went to nobody: too
	// large, malformed, binary, or with a name that no event may have.
	Refused uint64
	// Queued is how many bytes wait to be published now.
	Queued int
}

type busCounts struct{ published, dropped, received, refused atomic.Uint64 }

// Stats tells how it goes.
func (b *RedisBus) Stats() BusStats {
	b.queue.mu.Lock()
	queued := b.queue.bytes
	b.queue.mu.Unlock()
	return BusStats{
		Published: b.counts.published.Load(),
		Dropped:   b.counts.dropped.Load(),
		Received:  b.counts.received.Load(),
		Refused:   b.counts.refused.Load(),
		Queued:    queued,
	}
}

// occasional logs something that may happen a thousand times a second once a
// minute at most, with how often it happened since the last time.
type occasional struct {
	log  *slog.Logger
	text string

	// mu guards the fields below.
	mu    sync.Mutex
	last  time.Time
	times int
}

func (o *occasional) note(err error) {
	now := time.Now()
	o.mu.Lock()
	o.times++
	times := o.times
	due := o.last.IsZero() || now.Sub(o.last) >= time.Minute
	if due {
		o.last, o.times = now, 0
	}
	o.mu.Unlock()
	if due {
		o.log.Warn(o.text, "error", err, "times", times)
	}
}
