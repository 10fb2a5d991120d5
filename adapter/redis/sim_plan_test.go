package redis

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A simPlan is everything that happens in a history, drawn from its seed
// before it begins: so a history can be repeated, and parts of it left out.
type simPlan struct {
	seed            uint64
	grace, handOver time.Duration
	batch           int           // ops a call
	entries         int           // that each instance has at first
	calm            time.Duration // before the first step
	right           int           // for how many seconds all has to be right in the end
	steps           []simStep
}

// A simStep is a change or a fault. What n and lasts mean depends on what is
// done.
type simStep struct {
	after time.Duration // since the step before
	do    string
	slot  int // of the instance
	n     int
	lasts time.Duration
}

func (s simStep) String() string {
	return fmt.Sprintf("+%v %s slot=%d n=%d lasts=%v", s.after, s.do, s.slot, s.n, s.lasts)
}

const simSlots = 3

// simFaults are drawn equally often. Those that lose data or announcements are
// told apart, since they excuse more.
var simFaults = []string{
	"restart", "restart empty", "restart older", "flush", "back up", "kill connections", "trim", "asleep",
	"cut", "hang", "slow", "pause", "crash", "close", "clock",
}

// losesEntries reports whether a fault may lose entries in Redis.
func losesEntries(do string) bool { return isLoss(do) && do != "trim" }

func isLoss(do string) bool {
	return do == "restart empty" || do == "restart older" || do == "flush" || do == "swap" || do == "trim"
}

func newSimPlan(seed uint64) simPlan {
	draw := rand.New(rand.NewPCG(seed, 42))
	p := simPlan{
		seed:    seed,
		batch:   []int{2, 5, maxBatch}[draw.IntN(3)],
		entries: draw.IntN(10),
		// From 3.2 s on the instances detect failures; a wrong eviction takes up to
		// 5 s. Most histories are short, so that there are more of them.
		calm:  []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, 3200 * time.Millisecond}[draw.IntN(4)],
		right: []int{1, 1, 2, 5}[draw.IntN(4)],
	}
	switch draw.IntN(4) {
	case 0:
		p.grace = 1500 * time.Millisecond
	case 1:
		p.handOver = 2 * time.Second
	}
	// Several faults close to each other find most: so they come in groups.
	for range 1 + draw.IntN(3) {
		p.steps = append(p.steps, simStep{after: simPause(draw, []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second}[draw.IntN(3)]), do: "wait"})
		if draw.IntN(2) == 0 {
			p.steps = append(p.steps, simScenarios[draw.IntN(len(simScenarios))](draw)...)
		}
		for range draw.IntN(9) {
			p.steps = append(p.steps, newSimStep(draw))
		}
	}
	return p
}

func simPause(draw *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(draw.Int64N(int64(most)))
}

func newSimStep(draw *rand.Rand) simStep {
	s := simStep{slot: draw.IntN(simSlots), n: draw.IntN(1000)}
	// Things happen within milliseconds of each other, or of what follows.
	s.after = simPause(draw, []time.Duration{3 * time.Millisecond, 60 * time.Millisecond, 700 * time.Millisecond}[draw.IntN(3)])
	s.lasts = simPause(draw, []time.Duration{100 * time.Millisecond, time.Second, 6 * time.Second}[draw.IntN(3)])
	switch draw.IntN(20) {
	case 0, 1, 2, 3, 4:
		s.do = "put"
	case 5, 6, 7:
		s.do = "remove"
	case 8, 9:
		s.do = "say"
	case 10:
		s.do = []string{"sign out", "revoke"}[draw.IntN(2)]
	default:
		s.do = simFaults[draw.IntN(len(simFaults))]
	}
	return s
}

// simScenarios are groups of steps that random ones hardly ever make: each aims
// at one of the rules in doc.go.
var simScenarios = []func(draw *rand.Rand) []simStep{
	// Data get lost just after changes and messages, and some follow at once.
	func(draw *rand.Rand) []simStep {
		steps := simBurst(draw, 1+draw.IntN(4))
		steps = append(steps, simSoon(draw, simOneOf(draw, "flush", "restart older", "restart empty"), 20*time.Millisecond))
		return append(steps, simBurst(draw, 1+draw.IntN(5))...)
	},
	// Data get lost again while they are put back.
	func(draw *rand.Rand) []simStep {
		steps := []simStep{simSoon(draw, "back up", 0)}
		for range 2 + draw.IntN(2) {
			steps = append(steps, simBurst(draw, draw.IntN(3))...)
			s := simSoon(draw, simOneOf(draw, "flush", "restart older", "restart older", "restart empty"), 30*time.Millisecond)
			s.after = simPause(draw, []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 1200 * time.Millisecond}[draw.IntN(3)])
			steps = append(steps, s)
		}
		return steps
	},
	// The clock goes back a little with the data: numbers and ids repeat.
	func(draw *rand.Rand) []simStep {
		steps := append([]simStep{simSoon(draw, "back up", 0)}, simBurst(draw, draw.IntN(3))...)
		back := simSoon(draw, "clock", simPause(draw, 20*time.Millisecond))
		back.n = 3
		steps = append(steps, back, simSoon(draw, simOneOf(draw, "flush", "swap"), 0))
		return append(steps, simBurst(draw, draw.IntN(5))...)
	},
	// One instance's lease runs out while another that could evict it is slow.
	func(draw *rand.Rand) []simStep {
		slow, away := simSoon(draw, "slow", 6*time.Second), simSoon(draw, simOneOf(draw, "hang", "cut", "pause"), 0)
		away.slot = (slow.slot + 1) % simSlots
		away.lasts = []time.Duration{1200 * time.Millisecond, 2500 * time.Millisecond}[draw.IntN(2)] + simPause(draw, 1500*time.Millisecond)
		return []simStep{slow, away}
	},
	// An instance ends while it rewrites everything.
	func(draw *rand.Rand) []simStep {
		steps := append([]simStep{simSoon(draw, "back up", 0)}, simBurst(draw, 1+draw.IntN(3))...)
		end := simSoon(draw, simOneOf(draw, "crash", "crash", "close"), 3*time.Second)
		end.after = simPause(draw, []time.Duration{20 * time.Millisecond, 1100 * time.Millisecond}[draw.IntN(2)])
		return append(steps, simSoon(draw, "restart older", 30*time.Millisecond), end)
	},
	// Answers get lost, and what was carried out is sent again.
	func(draw *rand.Rand) []simStep {
		steps := []simStep{simSoon(draw, "slow", 4*time.Second)}
		for range 2 + draw.IntN(3) {
			steps = append(steps, simBurst(draw, 1+draw.IntN(4))...)
			s := simSoon(draw, "kill connections", 0)
			s.after = simPause(draw, 300*time.Millisecond)
			steps = append(steps, s)
		}
		return steps
	},
	// The clock goes back for long, and an instance ends.
	func(draw *rand.Rand) []simStep {
		back := simSoon(draw, "clock", 10*time.Second)
		back.n = 0
		end := simSoon(draw, simOneOf(draw, "crash", "close"), 8*time.Second)
		return []simStep{back, end}
	},
}

func simOneOf(draw *rand.Rand, all ...string) string { return all[draw.IntN(len(all))] }

// simSoon is a step within milliseconds.
func simSoon(draw *rand.Rand, do string, lasts time.Duration) simStep {
	return simStep{after: simPause(draw, 3*time.Millisecond), do: do, slot: draw.IntN(simSlots), n: draw.IntN(1000), lasts: lasts}
}

// simBurst is some changes and messages, mostly of one instance.
func simBurst(draw *rand.Rand, n int) []simStep {
	slot := draw.IntN(simSlots)
	var steps []simStep
	for range n {
		s := simSoon(draw, simOneOf(draw, "put", "put", "remove", "say", "say", "sign out", "revoke"), 0)
		if draw.IntN(4) > 0 {
			s.slot = slot
		}
		steps = append(steps, s)
	}
	return steps
}
