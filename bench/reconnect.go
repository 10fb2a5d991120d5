package main

import (
	"context"
)

// residents is how many of the sockets of a reconnect storm are users.
const residents = 100

// reconnect: n sockets, a hundred of them users, are dropped at once and come
// back as fast as they get in; then the users register again. Everybody is
// served when each has a list of the hundred, none of them from before.
func reconnect(ctx context.Context, t *target, n int) (sample, error) {
	all := newCountdown(n)
	c, err := settlers(ctx, t, n, 0, all)
	if err != nil {
		return nil, err
	}
	if err := c.wait(ctx, all); err != nil {
		c.leave()
		return nil, err
	}
	t.settle(ctx)

	again := newCountdown(n)
	meter := t.measure(c)
	c.leave()
	c, err = settlers(ctx, t, n, residents, again)
	if err != nil {
		return nil, err
	}
	defer c.leave()
	if err := c.wait(ctx, again); err != nil {
		return nil, err
	}
	meter.crowd, meter.received = c, 0 // of the new connections
	return meter.stop(ctx, 0), nil
}

// settlers connects n sockets, of which a hundred then register, with ids from
// first on. Each is counted down when it has a list of these and nobody else.
func settlers(ctx context.Context, t *target, n, first int, all *countdown) (*crowd, error) {
	c := &crowd{target: t, clients: make([]*client, n)}
	err := inParallel(n, func(i int) error {
		one, err := dial(ctx, t.port(i), "")
		if err != nil {
			return err
		}
		c.clients[i] = one
		served := false
		one.listen(func(_ *client, m message) {
			// In order of joining: with the first, all from before are gone.
			if !served && usersIn(m) == residents && firstOf(m) >= first {
				served = true
				all.done()
			}
		})
		return nil
	})
	if err != nil {
		c.leave()
		return nil, err
	}
	// Only now: Node tells nobody who comes after the last change.
	for i, one := range c.clients[:residents] {
		one.register(first+i, 0)
	}
	return c, nil
}
