package main

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// ticks: n sockets hear of something forty times a second, each time by itself:
// nothing can be joined, so a delivery is one write call whoever makes it. The
// bare server does nothing else, and so shows what the machine asks for that.
func ticks(last time.Duration) runner {
	const perSecond = 40
	return func(ctx context.Context, t *target, n int) (sample, error) {
		var heard atomic.Int64
		prefix := map[kind][]byte{rollcall: updatePrefix, node: announcedPrefix, bare: updatePrefix}[t.kind]
		c, users, err := audience(ctx, t, n, 1, func(_ *client, m message) {
			if bytes.HasPrefix(m.head, prefix) {
				heard.Add(1)
			}
		})
		if err != nil {
			return nil, err
		}
		defer c.leave()
		defer users.leave()
		meter := t.measure(c)
		times := int(last.Seconds() * perSecond)
		speaker := users.clients[0]
		err = visit(ctx, times, perSecond, func(i int) error {
			switch t.kind {
			case rollcall:
				speaker.register(0, i+1)
			case node:
				speaker.send(fmt.Sprintf(`42["announce",%s,1]`, user(0, i+1)))
			case bare:
				speaker.send(fmt.Sprintf(`42["update_user",%s]`, user(0, i+1)))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		s := meter.stop(ctx, 0)
		delete(s, wallTime) // it is the benchmark's own
		s[delivered] = float64(heard.Load()) / float64(n)
		s[cpuPerMessage] = 1000 * s[cpuUsed] / float64(heard.Load())
		return s, nil
	}
}
