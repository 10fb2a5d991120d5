package pubsub

import (
	"context"
	"sync"
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
	maxBytes int
	added    chan struct{} // wakes the taker
	empty    chan struct{} // closed when the queue is closed and nothing is left

	// mu guards the fields below.
	mu      sync.Mutex
	waiting []outgoing
	bytes   int // of those waiting and those taken
	taken   int // bytes of the last batch, until it is done
	closed  bool
}

func newQueue(maxBytes int) queue {
	return queue{maxBytes: maxBytes, added: make(chan struct{}, 1), empty: make(chan struct{})}
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
	select {
	case q.added <- struct{}{}:
	default: // it is awake
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

// done releases the bytes of the last batch.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= q.taken
	q.taken = 0
	q.closeIfEmpty()
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// close ends adding. The channel it returns closes when nothing is left. It is
// called once.
func (q *queue) close() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.closeIfEmpty()
	return q.empty
}

// closeIfEmpty closes empty, once. mu is held.
func (q *queue) closeIfEmpty() {
	if !q.closed || q.bytes > 0 {
		return
	}
	select {
	case <-q.empty:
	default:
		close(q.empty)
	}
}
