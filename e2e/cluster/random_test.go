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

// TestRandomFaults mixes all faults with users that come, go and change their names,
// for FAULT_SECONDS (default 20). After each round there are no faults for a while:
// then all watchers see the truth again, and none was told that a user left without
// a cause. A round's faults come from FAULT_SEED, which is printed; the timing within
// the processes is not repeated.
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
		t.Error("no member is online at the end: the run shows nothing")
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

// chaos injects faults into a deployment. It is for one goroutine.
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
	awake     func()
	cures     []func()
}

// A fault harms one instance, or Redis, and is ended by its cure, nil if it does not
// last.
type fault struct {
	name         string
	ofRedis      bool
	strike, cure func(*chaos, *instance)
}

var faults = []fault{
	{"crash", false, func(c *chaos, in *instance) { c.crash(in) }, func(_ *chaos, in *instance) { in.start() }},
	{"shutdown", false, func(_ *chaos, in *instance) { in.shutdown() }, func(_ *chaos, in *instance) { in.start() }},
	{"pause", false, func(_ *chaos, in *instance) { in.pause() }, func(_ *chaos, in *instance) { in.resume() }},
	{"cut", false, func(_ *chaos, in *instance) { in.link.cut() }, func(_ *chaos, in *instance) { in.link.restore() }},
	{"hang", false, func(_ *chaos, in *instance) { in.link.hang() }, func(_ *chaos, in *instance) { in.link.heal() }},
	{"slow", false, func(_ *chaos, in *instance) {
		in.link.slow(50*time.Millisecond, 50*time.Millisecond, "upstream", "downstream")
	},
		func(_ *chaos, in *instance) { in.link.heal() }},
	{"redis restarted", true, func(c *chaos, _ *instance) { c.redis.shutdown() }, func(c *chaos, _ *instance) { c.redis.start() }},
	{"redis restarted empty", true, func(c *chaos, _ *instance) {
		c.redis.wipe()
		c.redis.Kill()
	}, func(c *chaos, _ *instance) { c.redis.start() }},
	{"redis restarted with older data", true, func(c *chaos, _ *instance) {
		c.redis.save()
		for range 5 {
			c.something()
		}
		c.redis.Kill()
		c.redis.start()
	}, nil},
	{"redis asleep", true, func(c *chaos, _ *instance) { c.awake = c.redis.sleep(0.2 + 4*c.random.Float64()) }, func(c *chaos, _ *instance) { c.awake() }},
	{"redis flushed", true, func(c *chaos, _ *instance) { c.redis.do("FLUSHALL") }, nil},
	{"connections killed", true, func(c *chaos, _ *instance) { c.redis.killConnections() }, nil},
	{"stream trimmed", true, func(c *chaos, _ *instance) { c.redis.trim() }, nil},
}

// round injects up to three faults at a time, while users come and go, and ends them.
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
	// An instance that holds no lease yet may still be evicted, in this round.
	for _, in := range c.instances {
		program.Eventually(c.t, patience, in.name+" is ready", in.Ready)
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
	if f.ofRedis && c.redisAway || !f.ofRedis && c.harmed[in] {
		return
	}
	c.count[f.name]++
	event := f.name
	if !f.ofRedis {
		event += " " + in.name
		c.harmed[in] = true
		c.mayLeave(c.at(in)...)
	}
	c.events = append(c.events, event)
	f.strike(c, in)
	if f.cure == nil {
		return
	}
	at := len(c.cures)
	if f.ofRedis {
		c.redisAway, at = true, 0 // an instance that starts must find it
	}
	c.cures = slices.Insert(c.cures, at, func() { f.cure(c, in) })
}

func (c *chaos) mayLeave(ids ...string) {
	for _, id := range ids {
		c.causes[id] = true
	}
}

// check looks for users that were seen leaving without a cause.
func (c *chaos) check(rec *recording) {
	c.t.Helper()
	for _, w := range c.watching() {
		steps, ok := rec.since(w)
		if !ok {
			continue // it had a new list meanwhile, which was right in the end
		}
		for _, s := range steps {
			if s.event == "remove_user" && !c.causes[s.id] {
				c.t.Errorf("after %q: %s was told at %s that %s left (%s), without a cause",
					c.events, w.name(), s.at.Format("15:04:05.000"), s.id, s.reason)
			}
		}
	}
}

// something has a random member join, leave or change its name.
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
	return !slices.ContainsFunc(c.all(), func(other *member) bool { return other != m && other.id == m.id })
}
