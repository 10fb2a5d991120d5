package adapter

import (
	"flag"
	"strings"
	"sync/atomic"
	"testing"
)

var simNotices = flag.Uint64("sim.notices", 0, "how many seeds TestSimulationNotices tries, instead of the one known to show the fault")

// simFaulty are rules of the scripts that are taken away.
var simFaulty = []struct {
	seed                        uint64 // of a history that shows it
	name, script, rule, without string
}{
	{2, "changes behind a gap", "apply", "return (state == 'whole' or state == 'partial') and n == done + 1", "return state == 'whole' or state == 'partial'"},
	{187, "what was not put back", "apply", "clear(stale)", "redis.call('DEL', stale)"},
	{187, "a reset that changes nothing", "apply", "redis.call('DEL', own)", "redis.call('DEL', stale)"},
}

// The simulation notices when a rule of the scripts is missing.
func TestSimulationNotices(t *testing.T) {
	for _, f := range simFaulty {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			var applied atomic.Bool
			mutate := func(s *luaScript) string {
				if s.name != f.script {
					return s.source
				}
				applied.Store(applied.Load() || strings.Contains(s.source, f.rule))
				return strings.Replace(s.source, f.rule, f.without, 1)
			}
			first, last := f.seed, f.seed
			if *simNotices > 0 {
				first, last = 1, *simNotices
			}
			for seed := first; seed <= last; seed++ {
				if wrong := newSimPlan(seed).run(t, mutate).wrong; len(wrong) > 0 {
					t.Logf("seed %d: %s", seed, wrong[0])
					return
				}
				if !applied.Load() {
					t.Fatal("the rule is not in the script")
				}
			}
			t.Errorf("it is not noticed; -sim.notices=5000 looks for a seed")
		})
	}
}

// A history happens again in every detail.
func TestSimulationRepeats(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		p := newSimPlan(seed + 1)
		first, second := p.run(t, nil), p.run(t, nil)
		if first.trace != second.trace {
			t.Errorf("seed %d: the histories differ", seed+1)
		}
	}
}
