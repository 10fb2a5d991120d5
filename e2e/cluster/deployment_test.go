package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/e2e/program"
)

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
	// complete: whoever connects must find everybody in the first list.
	complete bool
}

// A plan is how to deploy.
type plan struct {
	instances int
	linked    bool          // with a link between each instance and Redis
	vars      []string      // of the instances' environment
	redisVars []string      // of the server's
	apart     time.Duration // between the starts, and so between what they do every second
}

// deploy starts everything, and watchers of each kind at each instance.
func deploy(t testing.TB, p plan) *deployment {
	t.Helper()
	d := bare(t, p)
	for _, in := range d.instances {
		for _, kind := range []string{"both", "changes", "list"} {
			d.watch(in, kind, false)
		}
	}
	return d
}

// bare is deploy without watchers.
func bare(t testing.TB, p plan) *deployment {
	t.Helper()
	d := &deployment{t: t, done: make(chan struct{}), redis: startRedis(t, p.redisVars...)}
	for i := range p.instances {
		in := &instance{t: t, name: string(rune('a' + i)), port: program.FreePort(t)}
		address := d.redis.address()
		if p.linked {
			in.link = newLink(t, in.name, address)
			address = in.link.address()
		}
		in.vars = append([]string{"HOST=127.0.0.1", "PORT=" + in.port, "INSTANCE=" + in.name,
			"REDIS_URL=redis://" + address, "LOG_FORMAT=logfmt", "LOG_LEVEL=debug",
			"GORACE=atexit_sleep_ms=0", "GRACE=0s"}, p.vars...)
		d.instances = append(d.instances, in)
		in.start()
		d.sleep(p.apart)
	}
	t.Cleanup(d.end)
	return d
}

// end closes everything and tells what the watchers found.
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
		w.mu.Lock()
		c := w.client
		w.mu.Unlock()
		if c != nil {
			c.Close()
		}
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

// spawn runs what ends with the test, unless that is over.
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
		return !d.closed()
	case <-d.done:
		return false
	}
}

// crash kills an instance's process, and returns when its members know.
func (d *deployment) crash(in *instance) {
	d.t.Helper()
	in.crash()
	members := d.all()
	program.Eventually(d.t, patience, "clients notice a closed connection", func() bool {
		for _, m := range members {
			if _, home, connected, _ := m.online(); connected && home == in {
				return false
			}
		}
		return true
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
func (d *deployment) watching(except ...*instance) (list []*watcher) {
	d.mu.Lock()
	watchers := slices.Clone(d.watchers)
	d.mu.Unlock()
	for _, w := range watchers {
		w.mu.Lock()
		home := w.home
		w.mu.Unlock()
		if !slices.Contains(except, home) {
			list = append(list, w)
		}
	}
	return list
}

// watchingAt is the watchers of one instance.
func (d *deployment) watchingAt(in *instance) (list []*watcher) {
	var others []*instance
	for _, other := range d.instances {
		if other != in {
			others = append(others, other)
		}
	}
	return d.watching(others...)
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

// converge waits until all of these watchers see the truth, and fails if that
// takes longer than its bound. It returns how long it took.
func (d *deployment) converge(what string, within time.Duration, truth map[string]string, watchers []*watcher) time.Duration {
	d.t.Helper()
	began := time.Now()
	if len(watchers) == 0 {
		d.t.Fatalf("%s: nobody watches", what)
	}
	if err := program.Wait(within, func() bool {
		for _, w := range watchers {
			if w.differs(truth) != "" {
				return false
			}
		}
		return true
	}); err != nil {
		for _, w := range watchers {
			if difference := w.differs(truth); difference != "" {
				d.t.Errorf("%s: %s %s", what, w.name(), difference)
			}
		}
		d.t.Fatalf("%s: %v", what, err)
	}
	return time.Since(began)
}

// hold watches for a while that nothing changes: the views stay what they are.
func (d *deployment) hold(what string, during time.Duration, truth map[string]string, watchers []*watcher) {
	d.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); d.sleep(10 * time.Millisecond) {
		for _, w := range watchers {
			if difference := w.differs(truth); difference != "" {
				d.t.Fatalf("%s: %s %s", what, w.name(), difference)
			}
		}
	}
}

// worksAgain demands that after a fault everything works: Redis has the truth, for
// Rails and for whoever starts next, and what happens at one instance is seen
// at all.
func (d *deployment) worksAgain() {
	d.t.Helper()
	truth := d.truth()
	if program.Wait(bound, func() bool { return d.redis.differs(truth) == "" }) != nil {
		d.t.Errorf("%s, even %s after all was right", d.redis.differs(truth), bound)
	}
	for _, in := range d.instances {
		if !in.Ended() {
			m := d.join(in, "afterwards-"+in.name)
			d.converge("afterwards somebody comes to "+in.name, soon, d.truth(), d.watching())
			m.leave()
		}
	}
	d.converge("afterwards somebody leaves", soon, d.truth(), d.watching())
	var lists []string
	if program.Wait(bound, func() bool {
		lists = d.lists()
		return len(slices.Compact(slices.Clone(lists))) <= 1
	}) != nil {
		d.t.Errorf("afterwards the instances list in different orders:\n%s", strings.Join(lists, "\n"))
	}
}

// lists is what each instance that runs answers to GET /api/online_users.
func (d *deployment) lists() (lists []string) {
	for _, in := range d.instances {
		if in.Ended() {
			continue
		}
		list, err := in.get("/api/online_users")
		if err != nil {
			list = err.Error()
		}
		lists = append(lists, list)
	}
	return lists
}
