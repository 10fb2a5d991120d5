package redis

import (
	"math/rand/v2"
	"time"
)

// simScenes are groups of steps that random ones hardly ever make: each aims at
// one of the rules in doc.go.
var simScenes = []func(draw *rand.Rand) []simStep{
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
