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
			p.steps = append(p.steps, simScenes[draw.IntN(len(simScenes))](draw)...)
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
