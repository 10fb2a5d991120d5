package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// chat: how long a change of presence waits behind a chat message to n members,
// beside how long it waits behind another change of which n watchers are told,
// and behind nothing. One watcher sees the changes that are timed; the members
// of the room follow no presence.
func chat(repeats int) runner {
	return func(ctx context.Context, t *target, n int) (sample, error) {
		p, err := newProbe(ctx, t)
		if err != nil {
			return nil, err
		}
		defer p.clients.leave()
		members, err := gather(ctx, t, n, connect("none"), func(*client, message) {})
		if err != nil {
			return nil, err
		}
		defer members.leave()
		for _, m := range members.clients {
			m.send(`42["join",{"room":"race"}]`)
		}
		t.settle(ctx)
		s := sample{}
		err = p.time(ctx, s, seenAlone, repeats, func(int) {})
		if err != nil {
			return nil, err
		}
		before := members.bytes()
		err = p.time(ctx, s, seenAfterMessage, repeats, func(i int) {
			members.clients[0].send(fmt.Sprintf(`42["message",{"room":"race","content":"%064d"}]`, i))
		})
		if err != nil {
			return nil, err
		}
		if sent := members.bytes() - before; sent < int64(n*repeats*64) {
			return nil, fmt.Errorf("%d members got %d bytes of %d messages", n, sent, repeats)
		}
		watchers, users, err := audience(ctx, t, n, 2, func(*client, message) {})
		if err != nil {
			return nil, err
		}
		defer watchers.leave()
		defer users.leave()
		err = p.time(ctx, s, seenAfterChange, repeats, func(i int) { users.clients[1].register(1, i+1) })
		return s, errors.Join(err, members.complete(), watchers.complete())
	}
}

// A probe is a user that changes and a watcher that sees it.
type probe struct {
	clients *crowd // the watcher first
	target  *target
	seen    chan struct{}
	version int
}

const probeID = 9_999_999

func newProbe(ctx context.Context, t *target) (*probe, error) {
	p := &probe{target: t, seen: make(chan struct{}, 1)}
	its := user(probeID, 0)[:len(`{"id":"`)+idSize]
	var err error
	p.clients, err = gather(ctx, t, 2, connect("changes"), func(c *client, m message) {
		if c.id == 0 && (bytes.HasPrefix(m.head, addPrefix) || bytes.HasPrefix(m.head, updatePrefix)) && bytes.Contains(m.head, its) {
			p.seen <- struct{}{}
		}
	})
	if err != nil {
		return nil, err
	}
	p.clients.clients[0].send(`42["sync"]`) // deltas come from here on
	t.settle(ctx)
	return p, p.change(ctx)
}

// change makes the user change and waits until the watcher has seen it.
func (p *probe) change(ctx context.Context) error {
	p.version++
	p.clients.clients[1].register(probeID, p.version)
	select {
	case <-p.seen:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(runTime):
		return fmt.Errorf("change %d was not seen within %v", p.version, runTime)
	}
}

// time makes changes right after what first does, with quiet between them, and
// notes the quantiles of how long it took until they were seen.
func (p *probe) time(ctx context.Context, s sample, m [2]metric, repeats int, first func(i int)) error {
	var after histogram
	for i := range repeats {
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		began := time.Now()
		first(i)
		if err := p.change(ctx); err != nil {
			return err
		}
		after.add(time.Since(began))
	}
	s[m[0]], s[m[1]] = ms(after.quantile(0.5)), ms(after.quantile(0.99))
	return nil
}
