package main

import (
	"bytes"
	"context"
)

// storm: n sockets are connected, register at once, and each waits until it
// has seen everybody.
func storm(presence string) runner {
	return func(ctx context.Context, t *target, n int) (sample, error) {
		all := newCountdown(n)
		c, err := gather(ctx, t, n, connect(presence), func(c *client, m message) {
			if c.learn(m, presence == "changes") && c.known == n {
				all.done()
			}
		})
		if err != nil {
			return nil, err
		}
		defer c.leave()
		meter := t.measure(c)
		for _, one := range c.clients {
			one.register(one.id, 0)
		}
		if err := c.wait(ctx, all); err != nil {
			return nil, err
		}
		s := meter.stop(ctx, n)
		if presence == "changes" {
			s[minimumRatio] = s[bytesSent] * 1e6 / float64(n*n*userSize)
		}
		return s, nil
	}
}

// learn notes how many users the client knows now and reports whether that has
// changed. A client of whole lists learns from nothing else: existing
// applications know nothing of increments.
func (c *client) learn(m message, increments bool) bool {
	before := c.known
	if users := usersIn(m); users >= 0 {
		c.known = users
	} else if increments && bytes.HasPrefix(m.head, addPrefix) {
		c.known++
	}
	return c.known != before
}
