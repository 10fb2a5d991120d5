package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// stay is how long a visitor of the churn is there.
const stay = time.Second

// churn: n registered sockets watch visitors connect, register and go away a
// second later, so many of them a second. With several instances only those
// count as seen who came to another one than the watcher's.
func churn(presence string, visitorsPerSecond int, last time.Duration) runner {
	visitors := int(last.Seconds() * float64(visitorsPerSecond))
	return func(ctx context.Context, t *target, n int) (sample, error) {
		came := make([]atomic.Int64, visitors) // when, by number; 0: not yet
		began := time.Now()
		var after histogram
		ready := newCountdown(n)
		c, err := gather(ctx, t, n, connect(presence), func(c *client, m message) {
			if c.known < n {
				if c.learn(m, presence == "changes"); c.known >= n {
					c.seen = make([]bool, visitors)
					ready.done()
				}
				return
			}
			id, ok := joined(m)
			if id -= n; !ok || id < 0 || c.seen[id] {
				return
			}
			c.seen[id] = true
			if instances := len(t.instances); instances == 1 || id%instances != c.id%instances {
				after.add(time.Since(began) - time.Duration(came[id].Load()))
			}
		})
		if err != nil {
			return nil, err
		}
		defer c.leave()
		for _, one := range c.clients {
			one.register(one.id, 0)
		}
		if err := c.wait(ctx, ready); err != nil {
			return nil, err
		}
		t.settle(ctx)

		meter := t.measure(c)
		err = visit(ctx, visitors, visitorsPerSecond, func(i int) error {
			return visitor(ctx, t.port(i), presence, func(one *client) {
				came[i].Store(int64(time.Since(began)))
				one.register(n+i, 0)
			})
		})
		if err != nil {
			return nil, err
		}
		s := meter.stop(ctx, 2*visitors)
		expected := visitors * n // but for those at the watcher's own instance
		if len(t.instances) > 1 {
			expected -= expected / len(t.instances)
		}
		delete(s, wallTime) // it is the benchmark's own
		s[seenShare] = max(0, 100-100*float64(after.count())/float64(expected))
		s[p50], s[p99] = ms(after.quantile(0.5)), ms(after.quantile(0.99))
		return s, nil
	}
}

// visitor connects, and goes away a while after it has arrived.
func visitor(ctx context.Context, port int, presence string, arrive func(*client)) error {
	one, err := dial(ctx, port, presence)
	if err != nil {
		return err
	}
	defer one.close()
	one.listen(func(*client, message) {})
	arrive(one)
	return pause(ctx, stay)
}

// visit starts so many visits a second and waits until all are over.
func visit(ctx context.Context, visits, perSecond int, f func(i int) error) error {
	ticks := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticks.Stop()
	failed := make(chan error, visits)
	var all sync.WaitGroup
	for i := range visits {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		all.Go(func() { failed <- f(i) })
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
