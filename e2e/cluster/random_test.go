package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// TestRandomFaults mixes all faults with people who come, go and change their
// names, for FAULT_SECONDS (default 20). After each round comes quiet: then
// everybody sees the truth again, and nobody was seen leaving without a cause.
// A round's faults come from FAULT_SEED, which is printed; when exactly what
// happens within a process is not ours to repeat.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	seed := number(t, "FAULT_SEED", time.Now().UnixNano()%1_000_000)
	end := time.Now().Add(time.Duration(number(t, "FAULT_SECONDS", 20)) * time.Second)
	t.Logf("FAULT_SEED=%d", seed)
	d := deploy(t, plan{instances: 3, linked: true})
	c := &chaos{
		deployment: d,
		random:     rand.New(rand.NewPCG(uint64(seed), 0)),
		count:      make(map[string]int),
	}
	for i := range 24 {
		m := d.newMember(fmt.Sprintf("u%d", i%20), i%3 != 0) // four have two tabs
		m.join(d.instances[i%3])
	}
	d.converge("everybody is there", patience, d.truth(), d.watching())
	rounds := 0
	for ; rounds == 0 || time.Now().Before(end); rounds++ {
		c.round()
		if t.Failed() {
			break
		}
	}
	t.Logf("%d rounds, %d members online at the end", rounds, len(d.truth()))
	t.Logf("faults: %v", c.count)
	if len(d.truth()) == 0 {
		t.Error("nobody is left: the run says nothing")
	}
}

func number(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		t.Fatalf("%s must be a number, not %q", name, text)
	}
	return n
}

// chaos does things to a deployment. It is for one goroutine.
type chaos struct {
	*deployment
	random *rand.Rand
	count  map[string]int // how often each fault was injected
	next   int            // user, or version of a user's data

	// Of the present round:
	events    []string
	causes    map[string]bool // the users who may have been seen leaving
	harmed    map[*instance]bool
	redisAway bool
	cures     []func()
}

// A fault does its harm, and has it made good by chaos.cure if it lasts. Of
// Redis there is one, so its faults get no instance.
type fault struct {
	name   string
	redis  func(*chaos)
	strike func(*chaos, *instance)
}

var faults = []fault{
	{"crash", nil, func(c *chaos, in *instance) {
		c.deployment.crash(in)
		c.cure(in.start)
	}},
	{"shutdown", nil, func(c *chaos, in *instance) {
		in.shutdown()
		c.cure(in.start)
	}},
	{"pause", nil, func(c *chaos, in *instance) {
		in.pause()
		c.cure(in.resume)
	}},
	{"cut", nil, func(c *chaos, in *instance) {
		in.link.cut()
		c.cure(in.link.restore)
	}},
	{"hang", nil, func(c *chaos, in *instance) {
		in.link.hang()
		c.cure(in.link.heal)
	}},
	{"slow", nil, func(c *chaos, in *instance) {
		in.link.slow(50*time.Millisecond, 50*time.Millisecond)
		c.cure(in.link.heal)
	}},
	{"redis restarted", func(c *chaos) {
		c.redis.shutdown()
		c.redisIsAway(c.redis.start)
	}, nil},
	{"redis restarted empty", func(c *chaos) {
		c.redis.wipe()
		c.redis.Kill()
		c.redisIsAway(c.redis.start)
	}, nil},
	{"redis restarted with older data", func(c *chaos) {
		c.redis.save()
		for range 5 {
			c.something()
		}
		c.redis.Kill()
		c.redis.start()
	}, nil},
	{"redis asleep", func(c *chaos) { c.redisIsAway(c.redis.sleep(0.2 + 4*c.random.Float64())) }, nil},
	{"redis flushed", func(c *chaos) { c.redis.do("FLUSHALL") }, nil},
	{"connections killed", func(c *chaos) {
		c.redis.killClients("normal")
		c.redis.killClients("pubsub")
	}, nil},
	{"stream trimmed", func(c *chaos) { c.redis.trim() }, nil},
}

// cure is what ends a fault when the round does.
func (c *chaos) cure(f func()) { c.cures = append(c.cures, f) }

// redisIsAway is cure for a fault of Redis, which is healed first: an instance
// that starts must find it.
func (c *chaos) redisIsAway(back func()) {
	c.redisAway = true
	c.cures = slices.Insert(c.cures, 0, back)
}

// round is up to three faults at a time, life going on meanwhile, and quiet.
func (c *chaos) round() {
	c.t.Helper()
	c.events, c.cures, c.redisAway = nil, nil, false
	c.causes, c.harmed = make(map[string]bool), make(map[*instance]bool)
	rec := c.record()
	lost := make(map[*member]int)
	for _, m := range c.all() {
		lost[m] = m.losses()
	}
	for range 1 + c.random.IntN(3) {
		c.strike(faults[c.random.IntN(len(faults))], c.instances[c.random.IntN(len(c.instances))])
		for range c.random.IntN(6) {
			c.something()
			c.sleep(time.Duration(c.random.IntN(300)) * time.Millisecond)
		}
	}
	c.sleep(time.Duration(c.random.IntN(3000)) * time.Millisecond)
	for _, cure := range c.cures {
		cure()
	}
	c.comesBack()
	c.converge(fmt.Sprintf("after %q", c.events), bound, c.truth(), c.watching())
	// Whoever holds no lease yet may still be given up, and that belongs to this
	// round.
	for _, in := range c.instances {
		program.Eventually(c.t, patience, in.name+" is ready", in.ready)
	}
	truth := c.truth()
	if program.Wait(bound, func() bool { return c.redis.differs(truth) == "" }) != nil {
		c.t.Errorf("after %q: %s", c.events, c.redis.differs(truth))
	}
	for in := range c.harmed {
		c.mayLeave(c.at(in)...)
	}
	for _, m := range c.all() {
		if m.losses() > lost[m] {
			c.mayLeave(m.id)
		}
	}
	c.check(rec)
}

// strike injects a fault, unless it needs what is broken already.
func (c *chaos) strike(f fault, in *instance) {
	if f.redis != nil && c.redisAway || f.strike != nil && c.harmed[in] {
		return
	}
	c.count[f.name]++
	if f.redis != nil {
		c.events = append(c.events, f.name)
		f.redis(c)
		return
	}
	c.events = append(c.events, f.name+" "+in.name)
	c.harmed[in] = true
	c.mayLeave(c.at(in)...)
	f.strike(c, in)
}

func (c *chaos) mayLeave(ids ...string) {
	for _, id := range ids {
		c.causes[id] = true
	}
}

// check looks for somebody seen leaving without a cause.
func (c *chaos) check(rec *recording) {
	c.t.Helper()
	for _, w := range c.watching() {
		steps, ok := rec.since(w)
		if !ok {
			continue // it had a new list meanwhile, which was right in the end
		}
		for _, s := range steps {
			if s.event == "remove_user" && !c.causes[s.id] {
				c.t.Errorf("after %q: %s was told at %s that %s left (%s), who had no cause",
					c.events, w.name(), s.at.Format("15:04:05.000"), s.id, s.reason)
			}
		}
	}
}

// something is what people do.
func (c *chaos) something() {
	c.t.Helper()
	var on, off []*member
	for _, m := range c.all() {
		if _, home, connected, ok := m.online(); ok && connected && home.open.Load() {
			on = append(on, m)
		} else if !ok {
			off = append(off, m)
		}
	}
	c.next++
	in := c.balance()
	var err error
	switch do := c.random.IntN(5); {
	case in != nil && len(off) > 0 && (do < 2 || len(on) < 15):
		m := off[c.random.IntN(len(off))]
		c.events = append(c.events, m.id+" joins "+in.name)
		err = m.tryJoin(in)
	case in != nil && len(on)+len(off) < 40 && do == 2:
		m := c.newMember(fmt.Sprintf("n%d", c.next), c.random.IntN(2) == 0)
		c.events = append(c.events, m.id+" joins "+in.name)
		err = m.tryJoin(in)
	case len(on) == 0:
	case do == 3:
		m := on[c.random.IntN(len(on))]
		if c.single(m) {
			err = m.rename(c.next)
		}
	default:
		m := on[c.random.IntN(len(on))]
		c.events = append(c.events, m.id+" leaves")
		c.mayLeave(m.id)
		if c.random.IntN(2) == 0 {
			m.leave()
		} else {
			err = m.signOut()
		}
	}
	if err != nil {
		c.t.Errorf("after %q: %v", c.events, err)
	}
}

// single reports whether a user has one tab: with more, the newest name wins,
// and which that is two instances may see differently.
func (c *chaos) single(m *member) bool {
	tabs := 0
	for _, other := range c.all() {
		if other.id == m.id {
			tabs++
		}
	}
	return tabs == 1
}
