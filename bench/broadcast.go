package main

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
)

const inARow = 100

var (
	updatePrefix    = []byte(`42["update_user",`)
	announcedPrefix = []byte(`42["announced",`)
)

// broadcast: one event to n sockets, a hundred times in a row. Node is told to
// emit it. Of Rollcall the nearest is an increment of presence: a hundred users
// change their data once each, and n watchers hear of each.
func broadcast(ctx context.Context, t *target, n int) (sample, error) {
	all := newCountdown(n)
	prefix := announcedPrefix
	if t.kind == rollcall {
		prefix = updatePrefix
	}
	c, users, err := audience(ctx, t, n, inARow, func(c *client, m message) {
		if bytes.HasPrefix(m.head, prefix) {
			if c.heard++; c.heard == inARow {
				all.done()
			}
		}
	})
	if err != nil {
		return nil, err
	}
	defer c.leave()
	defer users.leave()
	meter := t.measure(c)
	if t.kind == rollcall {
		for _, u := range users.clients {
			u.register(u.id, 1)
		}
	} else {
		users.clients[0].send(fmt.Sprintf(`42["announce",%s,%d]`, user(0, 1), inARow))
	}
	if err := c.wait(ctx, all); err != nil {
		return nil, err
	}
	s := meter.stop(ctx, 0)
	s[delivered] = inARow
	s[cpuPerMessage] = 1000 * s[cpuUsed] / float64(inARow*n)
	return s, nil
}

// renames: one user changes its data a hundred times in a row. Changes are
// batched, so a watcher hears of some only, and of the last.
func renames(ctx context.Context, t *target, n int) (sample, error) {
	all := newCountdown(n)
	var heard atomic.Int64
	lastOne := user(0, inARow)[userSize/2:]
	c, users, err := audience(ctx, t, n, 1, func(c *client, m message) {
		if bytes.HasPrefix(m.head, updatePrefix) {
			heard.Add(1)
			if bytes.Contains(m.tail, lastOne) {
				all.done()
			}
		}
	})
	if err != nil {
		return nil, err
	}
	defer c.leave()
	defer users.leave()
	meter := t.measure(c)
	texts := make([]string, inARow)
	for i := range texts {
		texts[i] = fmt.Sprintf(`42["register",%s]`, user(0, i+1))
	}
	users.clients[0].send(texts...)
	if err := c.wait(ctx, all); err != nil {
		return nil, err
	}
	s := meter.stop(ctx, 0)
	s[delivered] = float64(heard.Load()) / float64(n)
	s[cpuPerMessage] = 1000 * s[cpuUsed] / float64(heard.Load())
	return s, nil
}

// audience connects n watchers, and users that hear nothing themselves.
func audience(ctx context.Context, t *target, n, users int, each func(*client, message)) (watchers, speakers *crowd, err error) {
	if t.kind != rollcall { // there everybody hears everything
		enter := connect("")
		if t.kind == bare {
			enter = connectBare("/all")
		}
		speakers, err = gather(ctx, t, 1, enter, func(*client, message) {})
		if err != nil {
			return nil, nil, err
		}
		watchers, err = gather(ctx, t, n, enter, each)
		return watchers, speakers, err
	}
	speakers, err = gather(ctx, t, users, connect("none"), func(*client, message) {})
	if err != nil {
		return nil, nil, err
	}
	for _, u := range speakers.clients {
		u.register(u.id, 0)
	}
	ready := newCountdown(n)
	watchers, err = gather(ctx, t, n, connect("changes"), func(c *client, m message) {
		if c.known < users {
			if c.learn(m, true); c.known >= users {
				ready.done()
			}
			return
		}
		each(c, m)
	})
	if err != nil {
		return nil, nil, err
	}
	for _, w := range watchers.clients {
		w.send(`42["sync"]`)
	}
	if err := watchers.wait(ctx, ready); err != nil {
		return nil, nil, err
	}
	t.settle(ctx)
	return watchers, speakers, nil
}
