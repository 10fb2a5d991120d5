package redis

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"rollcall/adapter/redistest/redissim"
)

// simNet is one simulated Redis and the network around it, in the virtual time
// of a synctest bubble.
type simNet struct {
	seed uint64

	// mu guards the fields below, and those of the links.
	mu      sync.Mutex
	redis   *redissim.Redis
	process int           // rises when Redis is restarted
	down    int           // how many faults keep it down
	offset  time.Duration // of its clock
	news    chan struct{} // closed when a script has run
	subs    map[*simSub]bool
	links   []*simLink
	asleep  int                     // how many faults let it answer nobody
	awake   chan struct{}           // closed unless it is asleep
	scripts func(*luaScript) string // what is run in place of a script
	rules   *simRules

	// jobs is what serve does with Redis, one after the other.
	jobs chan func(*redissim.Redis)
	done chan struct{}
}

func newSimNet(seed uint64) *simNet {
	n := &simNet{
		seed: seed, news: make(chan struct{}), awake: openGate(), subs: make(map[*simSub]bool), rules: newSimRules(),
		jobs: make(chan func(*redissim.Redis)), done: make(chan struct{}),
	}
	n.scripts = func(s *luaScript) string { return s.source }
	n.redis = redissim.New(func() time.Time { return time.Now().Add(n.offset) }, func(channel string) int {
		count := 0
		for sub := range n.subs {
			if sub.channel == channel {
				count++
			}
		}
		return count
	})
	return n
}

// serve runs scripts until jobs is closed. It is one goroutine for all, because a
// script takes a deep stack, and growing one costs more than the script.
func (n *simNet) serve() {
	for f := range n.jobs {
		f(n.redis)
		n.done <- struct{}{}
	}
}

// endServing ends serve. No call is under way any more.
func (n *simNet) endServing() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.jobs)
}

// stop takes Redis away, and start brings it back as another process, which
// forgets all connections.
func (n *simNet) stop() {
	n.mu.Lock()
	n.down++
	n.process++
	n.mu.Unlock()
	n.killConnections()
}

func (n *simNet) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down--
}

func (n *simNet) killConnections() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.breakAll()
	}
}

// simLink is one instance's way to Redis: a server for its store.
type simLink struct {
	net  *simNet
	name string

	draws   map[string]*rand.Rand
	broken  chan struct{} // closed when its connections break
	passing chan struct{} // closed unless it hangs
	running chan struct{} // closed unless its process is paused
	cut     int           // how many faults of each kind there are
	hung    int
	slow    int
	paused  int
	dead    bool
}

// sleep lets Redis answer nobody for a while.
func (n *simNet) sleep(d time.Duration) {
	change := func(by int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.asleep += by
		setGate(&n.awake, n.asleep == 0)
	}
	change(1)
	time.AfterFunc(d, func() { change(-1) })
}

// setGate opens or closes a gate: a channel that is closed while it is open.
func setGate(gate *chan struct{}, open bool) {
	select {
	case <-*gate:
		if !open {
			*gate = make(chan struct{})
		}
	default:
		if open {
			close(*gate)
		}
	}
}

func openGate() chan struct{} {
	gate := make(chan struct{})
	close(gate)
	return gate
}

func (n *simNet) link(name string) *simLink {
	l := &simLink{
		net: n, name: name, draws: make(map[string]*rand.Rand),
		broken: make(chan struct{}), passing: openGate(), running: openGate(),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = append(n.links, l)
	return l
}

// change changes a link's faults and lets go of what waited for that.
func (l *simLink) change(f func()) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	f()
	setGate(&l.passing, l.hung == 0)
	setGate(&l.running, l.paused == 0)
	if l.cut > 0 || l.dead {
		l.breakAll()
	}
}

// breakAll ends all connections. net.mu is held.
func (l *simLink) breakAll() {
	close(l.broken)
	l.broken = make(chan struct{})
	for sub := range l.net.subs {
		if sub.link == l {
			delete(l.net.subs, sub)
		}
	}
}

// A simCall is one request on its way. What the network does to it depends on
// the seed, the instance, the kind and how many of the kind there were alone.
type simCall struct {
	link             *simLink
	broken           chan struct{}
	process          int
	there, back, end time.Duration // of the request, of the answer, until an end is noticed
	stubborn         bool          // it arrives though its connection has broken
}

var errSimDial = errors.New("simulated: connection refused")

func (l *simLink) begin(kind string) (*simCall, error) {
	l.whilePaused()
	l.net.mu.Lock()
	draw := l.draws[kind]
	if draw == nil {
		h := fnv.New64a()
		fmt.Fprint(h, l.net.seed, l.name, kind)
		draw = rand.New(rand.NewPCG(h.Sum64(), 7))
		l.draws[kind] = draw
	}
	some := func(most time.Duration) time.Duration { return 1 + time.Duration(draw.Int64N(int64(most))) }
	c := &simCall{
		link: l, broken: l.broken, process: l.net.process,
		there: some(time.Millisecond), back: some(time.Millisecond), end: some(time.Millisecond),
		stubborn: draw.IntN(2) == 0,
	}
	if l.slow > 0 {
		c.there += some(400 * time.Millisecond)
		c.back += some(400 * time.Millisecond)
		if draw.IntN(8) == 0 {
			c.there += some(3 * time.Second)
		}
	}
	refused := l.net.down > 0 || l.cut > 0 || l.dead
	l.net.mu.Unlock()
	if refused {
		time.Sleep(c.end)
		return nil, errSimDial
	}
	return c, nil
}

func (l *simLink) isPaused() bool {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	return l.paused > 0
}

func (l *simLink) whilePaused() { l.await(func() chan struct{} { return l.running }) }
func (l *simLink) whileHung() {
	l.await(func() chan struct{} { return l.passing })
	l.await(func() chan struct{} { return l.net.awake })
}

func (l *simLink) await(which func() chan struct{}) {
	l.net.mu.Lock()
	c := which()
	l.net.mu.Unlock()
	<-c
}

func (c *simCall) isBroken() bool {
	select {
	case <-c.broken:
		return true
	default:
		return false
	}
}

// arrive brings the request to Redis and runs f there, and reports whether it
// came so far. net.mu is held during f.
func (c *simCall) arrive(f func(*redissim.Redis)) bool {
	time.Sleep(c.there)
	c.link.whileHung()
	time.Sleep(c.end) // those that waited for the same do not arrive in one moment
	n := c.link.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != c.process || n.down > 0 || c.isBroken() && !c.stubborn {
		return false
	}
	n.jobs <- f
	<-n.done
	return true
}

// deliver waits for the answer, the end of the connection, or that of ctx.
func (c *simCall) deliver(ctx context.Context, answer <-chan any) (any, error) {
	defer c.link.whilePaused()
	select {
	case reply := <-answer:
		if err, ok := reply.(error); ok {
			return nil, err
		}
		return reply, nil
	case <-c.broken:
		time.Sleep(c.end)
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
