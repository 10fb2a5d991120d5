package abuse

import (
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// witnesses are well-behaved clients: registered, following changes, and asking
// no faster than anybody may. What they feel is what an abuse does to others.
type witnesses struct {
	t       testing.TB
	clients []*client
	done    chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex // guards times and peak
	times []time.Duration
	peak  float64 // MiB resident
}

const (
	aWitnessAsks = 70 * time.Millisecond // below 20 a second
	manyWitness  = 8
	manySamples  = 150
)

// Bounds so generous that only a server in trouble breaks them: the numbers
// that count are printed.
const (
	worstFactor = 10
	worstP99    = time.Second
)

// A toll is how long abuses last, and what they may cost.
type toll struct {
	lasts time.Duration
	// grows is by how many MiB the server's memory may have grown at its peak.
	grows float64
}

// endures runs an abuse while witnesses measure. The abuse is called again and
// again, with the number of the call, until its time is over.
func (s *server) endures(t testing.TB, cost toll, abuse func(n int)) {
	t.Helper()
	w := s.witness(t)
	defer w.dismiss()
	before := w.sample()
	rss := s.metric(resident) / mib
	w.running.Go(func() { w.weigh(s) })
	calls, end := 0, time.Now().Add(cost.lasts)
	for time.Now().Before(end) && !t.Failed() {
		abuse(calls)
		calls++
	}
	during := w.sample()
	w.mu.Lock()
	peak := w.peak
	w.mu.Unlock()
	t.Logf("%d calls; p50 %s → %s, p99 %s → %s (%.1f times); resident %.0f MiB → %.0f MiB at most",
		calls, quantile(before, 50), quantile(during, 50), quantile(before, 99), quantile(during, 99),
		float64(quantile(during, 99))/float64(quantile(before, 99)), rss, peak)
	if worst := max(worstFactor*quantile(before, 99), worstP99); quantile(during, 99) > worst {
		t.Errorf("the p99 of others rose from %s to %s, more than %s", quantile(before, 99), quantile(during, 99), worst)
	}
	if peak > rss+cost.grows {
		t.Errorf("memory rose from %.0f to %.0f MiB, more than %.0f", rss, peak, cost.grows)
	}
	for _, c := range w.clients {
		c.gets(t, "", "sync", "") // alive, and not refused
	}
}

func (s *server) witness(t testing.TB) *witnesses {
	t.Helper()
	w := &witnesses{t: t, done: make(chan struct{})}
	for n := range manyWitness {
		c := s.connect(t, "presence=changes")
		c.gets(t, "", "register", `{"id":"witness-`+string(rune('a'+n))+`"}`)
		w.clients = append(w.clients, c)
		w.running.Go(func() { w.measure(c) })
	}
	return w
}

// measure asks again and again and notes how long the answers take.
func (w *witnesses) measure(c *client) {
	tick := time.NewTicker(aWitnessAsks)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
		}
		began := time.Now()
		r, err := c.ask("heartbeat", "")
		if err != nil || !r.OK {
			w.t.Errorf("a well-behaved client got %+v, %v", r, err)
			return
		}
		w.mu.Lock()
		w.times = append(w.times, time.Since(began))
		w.mu.Unlock()
	}
}

// weigh follows the server's memory.
func (w *witnesses) weigh(s *server) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if got, err := s.try("GET", "/metrics", ""); err != nil {
			w.t.Errorf("/metrics while others abuse: %v", err)
		} else {
			w.mu.Lock()
			w.peak = max(w.peak, valueOf(got.body, resident)/mib)
			w.mu.Unlock()
		}
		select {
		case <-w.done:
			return
		case <-tick.C:
		}
	}
}

// sample takes the times noted since the last one, sorted, when there are
// enough.
func (w *witnesses) sample() (times []time.Duration) {
	w.t.Helper()
	program.Eventually(w.t, patience, "witnesses have measured", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.times) >= manySamples || w.t.Failed()
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	times, w.times = w.times, nil
	slices.Sort(times)
	return times
}

// dismiss ends measuring; the clients stay connected till the end of the test.
func (w *witnesses) dismiss() {
	close(w.done)
	w.running.Wait()
}

// quantile is one of sorted times, rounded for people.
func quantile(times []time.Duration, percent int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[len(times)*percent/100].Round(10 * time.Microsecond)
}
