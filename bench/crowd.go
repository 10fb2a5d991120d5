package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A crowd is the clients of one run.
type crowd struct {
	target  *target
	clients []*client
}

// A connector makes one connection.
type connector func(ctx context.Context, port int) (*client, error)

// connect is for Socket.IO, with a subscription ("": the default).
func connect(presence string) connector {
	return func(ctx context.Context, port int) (*client, error) { return dial(ctx, port, presence) }
}

// connectBare is for the bare server.
func connectBare(path string) connector {
	return func(ctx context.Context, port int) (*client, error) { return open(ctx, port, path) }
}

// gather connects n clients, as fast as they get in. Messages reach each from
// the first one after CONNECT on.
func gather(ctx context.Context, t *target, n int, enter connector, each func(*client, message)) (*crowd, error) {
	c := &crowd{target: t, clients: make([]*client, n)}
	err := inParallel(n, func(i int) error {
		one, err := enter(ctx, t.port(i))
		if err != nil {
			return err
		}
		one.id = i
		c.clients[i] = one
		one.listen(each)
		return nil
	})
	if err != nil {
		c.leave()
		return nil, fmt.Errorf("connect %d clients: %w", n, err)
	}
	return c, nil
}

// inParallel calls f for 0 to n-1 and returns the first error.
func inParallel(n int, f func(int) error) error {
	var all sync.WaitGroup
	failed := make(chan error, 1)
	for i := range n {
		all.Go(func() {
			if err := f(i); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (c *crowd) bytes() (sum int64) {
	for _, one := range c.clients {
		sum += one.received.Load()
	}
	return sum
}

// leave ends all connections.
func (c *crowd) leave() {
	for _, one := range c.clients {
		if one != nil {
			one.close()
		}
	}
}

// lost is how many clients the server has ended.
func (c *crowd) lost() (n int) {
	for _, one := range c.clients {
		select {
		case <-one.ended:
			n++
		default:
		}
	}
	return n
}

// A countdown is reached when so many clients have said so.
type countdown struct {
	left atomic.Int64
	zero chan struct{}
}

func newCountdown(n int) *countdown {
	c := &countdown{zero: make(chan struct{})}
	c.left.Store(int64(n))
	return c
}

func (c *countdown) done() {
	if c.left.Add(-1) == 0 {
		close(c.zero)
	}
}

// runTime bounds one run: a client that is not served by then fails it.
const runTime = 2 * time.Minute

// wait waits for a countdown, or tells how far it came.
func (c *crowd) wait(ctx context.Context, all *countdown) error {
	select {
	case <-all.zero:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(runTime):
		return fmt.Errorf("%d of %d clients not served after %v, %d of them disconnected",
			all.left.Load(), len(c.clients), runTime, c.lost())
	}
}

// complete is an error if the server has ended any connection.
func (c *crowd) complete() error {
	if lost := c.lost(); lost > 0 {
		return fmt.Errorf("%d of %d clients were disconnected", lost, len(c.clients))
	}
	return nil
}
