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
	enter := connect("")
	if t.kind == bare {
		enter = connectBare("/")
	}
	c, err := gather(ctx, t, n, enter, func(*client, message) {})
	if err != nil {
		return nil, err
	}
	defer c.leave()
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
