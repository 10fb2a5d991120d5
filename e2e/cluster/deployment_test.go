// Package cluster tests a deployment as it runs in production: several real
// rollcall processes, one real redis-server, real network faults between them
// and raw Socket.IO clients that record every event.
//
// A deployment has instances, members and watchers. Members are online or not:
// they are the truth. Watchers record what their instance tells them. A test
// injects one fault and then demands that every watcher of every instance shows the
// truth within the fault's bound, and that none was told that a member left that
// did not leave.
//
// The program under test is ROLLCALL_BIN, or it is built from this module,
// with the race detector if the tests have it. What lives here: tests and
// their tools. What may not: any package of the module.
package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/e2e/program"
)

const (
	patience = program.Patience
	// soon bounds what crosses from one instance to another when nothing is wrong:
	// the protocol promises a second, and the machine may be busy.
	soon = 5 * time.Second
	// bound is that of everything being right again after the death of an instance and the
	// return of what was away: 5 s, in virtual time too (adapter/redis), and a busy machine.
	bound = 10 * time.Second
)

func TestMain(m *testing.M) { program.Main(m, program.HasRaceDetector()) }

// A deployment is several instances on one Redis, with members and watchers.
type deployment struct {
	t         testing.TB
	redis     *redisServer
	instances []*instance

	done    chan struct{}  // closed when the test is over
	running sync.WaitGroup // members and watchers on their way back

	mu       sync.Mutex // guards all below; innermost: no other lock is taken under it
	ended    bool
	members  []*member
	watchers []*watcher
	complete bool // from here on the first list of each watcher has to have all members
}

// A plan is how to deploy.
type plan struct {
	instances int
	linked    bool          // with a link between each instance and Redis
	unwatched bool          // without watchers
	roaming   bool          // watchers connect to any instance when they are disconnected
	vars      []string      // of the instances' environment
	redisVars []string      // of the server's
	apart     time.Duration // between the starts, and so between what they do every second
}

// deploy starts everything, and watchers of each kind at each instance.
func deploy(t testing.TB, p plan) *deployment {
	t.Helper()
	d := &deployment{t: t, done: make(chan struct{}), redis: startRedis(t, p.redisVars...)}
	for i := range p.instances {
		in := &instance{Server: program.NewServer(t, p.vars...), name: string(rune('a' + i))}
		address := d.redis.address()
		if p.linked {
			in.link = newLink(t, in.name, address)
			address = in.link.proxy.Listen
		}
		in.Vars = append(in.Vars, "INSTANCE="+in.name, "REDIS_URL=redis://"+address, "LOG_LEVEL=debug", "GORACE=atexit_sleep_ms=0")
		d.instances = append(d.instances, in)
		in.start()
		d.sleep(p.apart)
	}
	t.Cleanup(d.end)
	for _, in := range d.instances {
		for _, kind := range []string{"both", "changes", "list"} {
			if !p.unwatched {
				d.watch(in, kind, p.roaming)
			}
		}
	}
	return d
}

// end closes everything and reports what the watchers found.
func (d *deployment) end() {
	close(d.done)
	d.mu.Lock()
	d.ended = true
	members, watchers := d.members, d.watchers
	d.mu.Unlock()
	for _, m := range members {
		m.leave()
	}
	for _, w := range watchers {
		w.tab.leave()
	}
	d.running.Wait()
	for _, w := range watchers {
		for _, fault := range w.faults {
			d.t.Errorf("%s: %s", w.name(), fault)
		}
	}
	for _, in := range d.instances {
		if log := in.Log.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
			d.t.Errorf("instance %s:\n%s", in.name, in.Log.Last(8000))
		}
		if d.t.Failed() {
			d.t.Logf("log of instance %s:\n%s", in.name, in.Log.Last(5000))
		}
	}
}

// spawn runs a function that ends with the test, unless that is over.
func (d *deployment) spawn(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		d.running.Go(f)
	}
}

func (d *deployment) closed() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// sleep waits, and reports false if the test was over before.
func (d *deployment) sleep(pause time.Duration) bool {
	select {
	case <-time.After(pause):
	case <-d.done:
	}
	return !d.closed()
}

// load runs something again and again until stop is called, which fails if it
// succeeded fewer than 30 times: that would be no load.
func (d *deployment) load(pause time.Duration, something func(n int) error) (stop func()) {
	var over atomic.Bool
	ended := make(chan struct{})
	done := 0
	d.spawn(func() {
		defer close(ended)
		for n := 1; !over.Load() && d.sleep(pause); n++ {
			if something(n) == nil {
				done++
			}
		}
	})
	return func() {
		over.Store(true)
		<-ended
		if done < 30 {
			d.t.Errorf("only %d times: that is no load", done)
		}
	}
}

// crash kills an instance's process, and returns when its members know.
func (d *deployment) crash(in *instance) {
	d.t.Helper()
	in.crash()
	program.Eventually(d.t, patience, "clients notice a closed connection", func() bool {
		return !slices.ContainsFunc(d.all(), func(m *member) bool { _, home, connected, _ := m.online(); return connected && home == in })
	})
}

// balance is an instance that takes clients, nil if none does.
func (d *deployment) balance() *instance {
	var open []*instance
	for _, in := range d.instances {
		if in.open.Load() {
			open = append(open, in)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[rand.N(len(open))]
}

// populate adds n members to each instance and waits until all see all.
func (d *deployment) populate(n int, returns bool) {
	d.t.Helper()
	for _, in := range d.instances {
		for i := range n {
			d.newMember(fmt.Sprintf("%s%d", in.name, i), returns).join(in)
		}
	}
	d.converge("everybody is there", patience, d.truth(), d.watching())
}

// all is the members, online or not.
func (d *deployment) all() []*member {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.members)
}

// truth is who should be online, but for the members of some instances.
func (d *deployment) truth(except ...*instance) map[string]string {
	truth := make(map[string]string)
	for _, m := range d.all() {
		if user, home, _, ok := m.online(); ok && !slices.Contains(except, home) {
			truth[m.id] = user
		}
	}
	return truth
}

// expectComplete demands from here on that each watcher that connects is told of
// all members.
func (d *deployment) expectComplete() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.complete = true
}

// at is the users that are online at an instance.
func (d *deployment) at(in *instance) (ids []string) {
	for _, m := range d.all() {
		if _, home, _, ok := m.online(); ok && home == in {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// watching is the watchers of all instances but some.
func (d *deployment) watching(except ...*instance) []*watcher {
	d.mu.Lock()
	watchers := slices.Clone(d.watchers)
	d.mu.Unlock()
	return slices.DeleteFunc(watchers, func(w *watcher) bool {
		_, home, _, _ := w.tab.online()
		return slices.Contains(except, home)
	})
}

// watchingAt is the watchers of one instance.
func (d *deployment) watchingAt(in *instance) []*watcher {
	return d.watching(slices.DeleteFunc(slices.Clone(d.instances), func(other *instance) bool { return other == in })...)
}

// missingFrom is who should be in a first list and is not.
func (d *deployment) missingFrom(v view) (missing []string) {
	d.mu.Lock()
	complete := d.complete
	d.mu.Unlock()
	if !complete {
		return nil
	}
	for id := range d.truth() {
		if _, ok := v.users[id]; !ok {
			missing = append(missing, id)
		}
	}
	return missing
}

// comesBack waits until every member and every watcher is connected.
func (d *deployment) comesBack() {
	d.t.Helper()
	program.Eventually(d.t, patience, "everybody is connected again", func() bool {
		return !slices.ContainsFunc(d.all(), func(m *member) bool { _, _, connected, wanted := m.online(); return wanted && !connected }) &&
			!slices.ContainsFunc(d.watching(), func(w *watcher) bool { return !w.inSync() })
	})
}
