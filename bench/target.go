package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// kind names a program under test, as the table does.
type kind string

const (
	rollcall kind = "Rollcall"
	node     kind = "Node"
	bare     kind = "bare gorilla"
)

// programs are where the programs are.
type programs struct {
	rollcall, echo, nodeDir, redis string
}

// A target is what a run measures: the instances of one kind of server, and
// their Redis if they have one.
type target struct {
	kind      kind
	instances []*process
	redis     *process
}

// start starts one server.
func (p programs) start(ctx context.Context, k kind) (*target, error) {
	var one *process
	var err error
	switch k {
	case rollcall:
		one, err = p.startRollcall(ctx)
	case node:
		one, err = launch(ctx, answers, []string{"NODE_ENV=production"}, "node", filepath.Join(p.nodeDir, "server.mjs"))
	case bare:
		one, err = launch(ctx, listens, nil, p.echo)
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", k, err)
	}
	return &target{kind: k, instances: []*process{one}}, nil
}

// startRollcall starts an instance as it is used, but for the limit of events a
// socket, which a load generator must be allowed to break.
func (p programs) startRollcall(ctx context.Context, env ...string) (*process, error) {
	env = append(env, "HOST=127.0.0.1", "EVENTS_PER_SECOND=0", "LOG_LEVEL=warn", "GRACE=0s")
	return launch(ctx, answers, env, p.rollcall)
}

// startCluster starts instances of Rollcall on a Redis of their own.
func (p programs) startCluster(ctx context.Context, instances int) (*target, error) {
	dir, err := os.MkdirTemp("", "bench-redis-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // nothing is saved there
	redis, err := launch(ctx, listens, nil, p.redis, "--port", "$PORT", "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", dir)
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	t := &target{kind: rollcall, redis: redis}
	for i := range instances {
		one, err := p.startRollcall(ctx, fmt.Sprintf("REDIS_URL=redis://127.0.0.1:%d", redis.port), fmt.Sprintf("INSTANCE=bench%d", i))
		if err != nil {
			t.stop()
			return nil, fmt.Errorf("start instance %d: %w", i, err)
		}
		t.instances = append(t.instances, one)
	}
	return t, nil
}

func (t *target) stop() {
	for _, p := range t.instances {
		p.stop()
	}
	if t.redis != nil {
		t.redis.stop()
	}
}

// port is where client i connects to.
func (t *target) port(i int) int { return t.instances[i%len(t.instances)].port }

func (t *target) cpu() (sum time.Duration) {
	for _, p := range t.instances {
		sum += p.cpu()
	}
	return sum
}

// memory sums a size of /proc/PID/status, in KiB.
func (t *target) memory(name string) (sum float64) {
	for _, p := range t.instances {
		sum += p.status(name)
	}
	return sum
}

// settle waits until the servers have nothing more to do: work that they put
// off counts too.
func (t *target) settle(ctx context.Context) {
	const (
		step   = 100 * time.Millisecond
		steps  = 100
		little = step / 50
	)
	quiet := 0
	for range steps {
		before := t.cpu()
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		if quiet++; t.cpu()-before > little {
			quiet = 0
		}
		if quiet == 3 {
			return
		}
	}
}

// A meter measures one stretch of a run.
type meter struct {
	target   *target
	crowd    *crowd
	began    time.Time
	cpu      time.Duration
	received int64
	self     time.Duration
	redis    redisUse
}

func (t *target) measure(c *crowd) *meter {
	return &meter{t, c, time.Now(), t.cpu(), c.bytes(), selfCPU(), t.redisUse()}
}

// stop returns what every row has, and what each of the changes cost. The wall
// time ends here, the rest when the servers have come to rest.
func (m *meter) stop(ctx context.Context, changes int) sample {
	wall := time.Since(m.began)
	received := m.crowd.bytes() - m.received
	m.target.settle(ctx)
	used := m.target.cpu() - m.cpu
	s := sample{
		wallTime:   ms(wall),
		cpuUsed:    ms(used),
		peakMemory: m.target.memory("VmHWM") / 1024,
		bytesSent:  float64(received) / 1e6,
		loadsCPU:   ms(selfCPU() - m.self),
	}
	if changes > 0 {
		s[cpuPerChange] = 1000 * ms(used) / float64(changes)
		if m.target.redis != nil {
			now := m.target.redisUse()
			s[redisCPU] = 1000 * ms(now.cpu-m.redis.cpu) / float64(changes)
			s[redisBytes] = float64(now.bytes-m.redis.bytes) / float64(changes)
		}
	}
	return s
}

func selfCPU() time.Duration {
	d, _ := cpuTime(os.Getpid())
	return d
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
