package redis

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "repeat one history of TestSimulation")
	simSteps = flag.String("sim.steps", "", "with -sim.seed: the steps to keep, by number; default all")
	simTime  = flag.Duration("sim.time", 3*time.Second, "how long TestSimulation goes on")
	simFrom  = flag.Uint64("sim.from", 0, "the first seed of TestSimulation; default: by the time")
	simLog   = flag.Bool("sim.log", false, "with -sim.seed: print all that watchers were told")
)

// A simResult is what became of a history.
type simResult struct {
	wrong []string
	trace uint64
	log   []string
}

// run lets a history happen.
func (p simPlan) run(t *testing.T, mutate func(*luaScript) string) (result simResult) {
	synctest.Test(t, func(t *testing.T) {
		h := &simHistory{simPlan: p, simNet: newSimNet(p.seed), reference: newSimReference()}
		h.reference.rules, h.reference.loss = h.rules, p.has(isLoss)
		defer h.redis.Close()
		go h.serve()
		defer h.simNet.endServing()
		if mutate != nil {
			h.scripts = mutate
		}
		h.backup = h.redis.Save()
		for slot := range simSlots {
			h.open(slot)
		}
		time.Sleep(100 * time.Millisecond)
		for slot := range simSlots {
			for n := range p.entries {
				h.put(h.usable(slot), n)
				time.Sleep(time.Microsecond) // two changes in one moment would reach the writer together or not
			}
		}
		time.Sleep(p.calm)
		for _, s := range p.steps {
			h.do(s)
		}
		time.Sleep(time.Until(h.lasts))
		wrong := h.settle(16*time.Second + p.grace + p.handOver)
		h.end()
		h.note(func() {
			result = simResult{slices.Concat(h.reference.findings, h.rules.findings, wrong), h.reference.trace, h.reference.log}
		})
	})
	return result
}

// end ends all processes.
func (h *simHistory) end() {
	var living []*simInstance
	h.note(func() {
		h.over = true
		for _, in := range h.all {
			if !in.ended {
				in.ended = true
				living = append(living, in)
			}
		}
	})
	for _, in := range living {
		<-in.opened
		in.store.disconnect()
	}
	time.Sleep(8 * time.Second) // what is on its way arrives
}

// shrink leaves out steps as long as the history still fails.
func (p simPlan) shrink(t *testing.T, mutate func(*luaScript) string) (simPlan, []int) {
	kept := make([]int, len(p.steps))
	for i := range kept {
		kept[i] = i
	}
	with := func(steps []int) simPlan {
		q := p
		q.steps = nil
		for _, i := range steps {
			q.steps = append(q.steps, p.steps[i])
		}
		return q
	}
	for size := len(kept) / 2; size > 0; {
		smaller := false
		for from := 0; from < len(kept); from += size {
			less := slices.Delete(slices.Clone(kept), from, min(from+size, len(kept)))
			if len(with(less).run(t, mutate).wrong) > 0 {
				kept, smaller = less, true
				from -= size
			}
		}
		if !smaller || size > len(kept) {
			size /= 2
		}
	}
	return with(kept), kept
}

// fail reports a history that failed, and the part of it that suffices.
func (p simPlan) fail(t *testing.T) {
	t.Helper()
	small, kept := p.shrink(t, nil)
	result := small.run(t, nil)
	if len(result.wrong) == 0 { // it does not fail each time
		small, result = p, p.run(t, nil)
	}
	t.Errorf("repeat with: go test ./adapter/redis -run 'TestSimulation$' -sim.log -sim.seed=%d -sim.steps=%s\n%v%s",
		p.seed, strings.Trim(strings.ReplaceAll(fmt.Sprint(kept), " ", ","), "[]"), small, strings.Join(result.wrong, "\n"))
}

// TestSimulation runs random histories of several stores over one Redis in
// virtual time, for -sim.time: what may never be told is not, and in the end
// all is right. A failure prints its seed and the steps that it takes.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		p := newSimPlan(*simSeed)
		if *simSteps != "" {
			var steps []simStep
			for text := range strings.SplitSeq(*simSteps, ",") {
				var i int
				if _, err := fmt.Sscan(text, &i); err != nil {
					t.Fatal(err)
				}
				steps = append(steps, p.steps[i])
			}
			p.steps = steps
		}
		result := p.run(t, nil)
		t.Logf("trace %x\n%v%s", result.trace, p, strings.Join(result.log, "\n"))
		if len(result.wrong) > 0 {
			t.Error(strings.Join(result.wrong, "\n"))
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(1600)) // a history takes some 100 KB
	first := *simFrom
	if first == 0 {
		first = uint64(time.Now().UnixNano()) % 1e12
	}
	var next, failures atomic.Uint64
	next.Store(first)
	began := time.Now()
	t.Run("histories", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for last := time.Now(); time.Since(began) < *simTime && failures.Load() < 3; {
					p := newSimPlan(next.Add(1))
					if len(p.run(t, nil).wrong) > 0 {
						failures.Add(1)
						p.fail(t)
					}
					if time.Since(last) > time.Minute {
						last = time.Now()
						fmt.Fprintf(os.Stderr, "simulation: %d histories after %v\n", next.Load()-first, time.Since(began).Round(time.Second))
					}
				}
			})
		}
	})
	t.Logf("%d histories from seed %d in %v", next.Load()-first, first+1, time.Since(began).Round(time.Millisecond))
}
