package main

import (
	"context"
	"time"
)

// calm is how long idle connections are left alone before memory is read.
const calm = 5 * time.Second

// idle: n sockets connect and say nothing more.
func idle(ctx context.Context, t *target, n int) (sample, error) {
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	before := t.memory("VmRSS")
	began, used := time.Now(), t.cpu()
	join := func(i int) (*client, error) {
		if t.kind == bare {
			return open(ctx, t.port(i), "/")
		}
		return dial(ctx, t.port(i), "")
	}
	c := &crowd{target: t, clients: make([]*client, n)}
	defer c.leave()
	err := inParallel(n, func(i int) error {
		one, err := join(i)
		if err != nil {
			return err
		}
		c.clients[i] = one
		one.listen(func(*client, message) {})
		return nil
	})
	if err != nil {
		return nil, err
	}
	wall := time.Since(began)
	if err := pause(ctx, calm); err != nil {
		return nil, err
	}
	s := sample{
		wallTime:   ms(wall),
		cpuUsed:    ms(t.cpu() - used),
		peakMemory: t.memory("VmHWM") / 1024,
		bytesSent:  float64(c.bytes()) / 1e6,
		memoryEach: (t.memory("VmRSS") - before) / float64(n),
		peakEach:   (t.memory("VmHWM") - before) / float64(n),
	}
	return s, c.complete()
}
