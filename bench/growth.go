package main

import (
	"context"
	"sync/atomic"
	"time"
)

// growth: n sockets with the default subscription, a hundred of them users, of
// whom one changes twenty times a second. What the lists cost must not grow
// without bound with n: beyond some n they become rarer instead.
func growth(last time.Duration) runner {
	const perSecond = 20
	return func(ctx context.Context, t *target, n int) (sample, error) {
		var lists atomic.Int64
		ready := newCountdown(n)
		c, err := gather(ctx, t, n, connect(""), func(c *client, m message) {
			if usersIn(m) < 0 {
				return
			}
			lists.Add(1)
			if known := c.known; known < residents {
				if c.known = usersIn(m); c.known >= residents {
					ready.done()
				}
			}
		})
		if err != nil {
			return nil, err
		}
		defer c.leave()
		for _, one := range c.clients[:residents] {
			one.register(one.id, 0)
		}
		if err := c.wait(ctx, ready); err != nil {
			return nil, err
		}
		t.settle(ctx)

		meter := t.measure(c)
		began, before := time.Now(), lists.Load()
		used := t.cpu()
		err = visit(ctx, int(last.Seconds()*perSecond), perSecond, func(i int) error {
			c.clients[0].register(0, i+1)
			return nil
		})
		if err != nil {
			return nil, err
		}
		took := time.Since(began).Seconds()
		used = t.cpu() - used
		seen := lists.Load() - before
		s := meter.stop(ctx, 0)
		delete(s, wallTime) // it is the benchmark's own
		s[coreShare] = 100 * used.Seconds() / took
		s[listRate] = float64(seen) / float64(n) / took
		return s, c.complete()
	}
}
