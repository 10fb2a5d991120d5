package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// A fault in which no instance is away for longer than its lease: only users that
// leave may be seen leaving.
type shortFault struct {
	name string
	plan plan // of 3 instances unless it says otherwise
	// inject returns when the fault is over.
	inject func(d *deployment, v *visits)
}

var linked = plan{linked: true}

// withoutRedis stops Redis for longer than a lease.
func withoutRedis(stop func(*redisServer)) func(*deployment, *visits) {
	return func(d *deployment, v *visits) {
		stop(d.redis)
		away := time.Now()
		v.everywhere()
		d.sleep(5*time.Second - time.Since(away))
		d.redis.start()
	}
}

var shortFaults = []shortFault{
	{"Redis restarted with its data", plan{}, func(d *deployment, v *visits) {
		d.redis.shutdown()
		v.everywhere()
		d.redis.start()
	}},
	{"Redis away for longer than a lease", plan{}, withoutRedis((*redisServer).shutdown)},
	// Leases of some have expired and those of others have not: the instance that is
	// back first must not evict the others.
	{"Redis away for less than a lease", plan{apart: 320 * time.Millisecond}, func(d *deployment, _ *visits) {
		d.knowEachOther()
		d.redis.awaitRenewal("a") // the others' renewals are longer ago
		d.redis.shutdown()
		d.sleep(1600 * time.Millisecond)
		for _, in := range d.instances[1:] {
			in.pause()
		}
		d.redis.start()
		d.redis.awaitRenewal("a")
		for _, in := range d.instances[1:] {
			in.resume()
		}
		d.hold("when Redis is back", time.Second, d.truth(), d.watching())
	}},
	{"Redis restarted empty", plan{}, func(d *deployment, v *visits) {
		d.redis.Kill()
		v.everywhere()
		d.redis.start()
	}},
	{"Redis restarted empty at once", plan{}, func(d *deployment, v *visits) {
		d.redis.Kill()
		d.redis.start()
		v.everywhere()
	}},
	{"Redis away for longer than a lease, and empty", plan{}, withoutRedis((*redisServer).Kill)},
	{"Redis restarted with older data", plan{}, func(d *deployment, v *visits) {
		d.redis.save()
		v.everywhere()
		d.converge("what is not in the older data is seen", soon, d.truth(), d.watching())
		d.redis.Kill()
		d.redis.start()
	}},
	// An instance that goes on writing where it was, into older data, must not look to
	// the others as if all its data were there.
	{"older data written to at once", linked, func(d *deployment, v *visits) {
		d.redis.save()
		writer := d.instances[0]
		v.comes(writer, "not in the older data")
		d.converge("all there", soon, d.truth(), d.watching())
		writer.link.slow(200*time.Millisecond, 0, "upstream", "downstream") // the others look before it has put all back
		for _, in := range d.instances[1:] {
			in.pause()
		}
		d.redis.Kill()
		v.comes(writer, "written at once")
		d.redis.start()
		program.Eventually(d.t, bound, "the first instance writes", func() bool { return d.redis.has("written at once") })
		for _, in := range d.instances[1:] {
			in.resume()
		}
	}},
	// A change that Redis applied and lost before its instance got the confirmation
	// is not taken for one that is on its way.
	{"changes confirmed late", plan{instances: 2, linked: true}, func(d *deployment, v *visits) {
		writer, other := d.instances[0], d.instances[1]
		writer.link.slow(60*time.Millisecond, 60*time.Millisecond, "downstream") // which comes first is left to chance
		for round := range 20 {
			id := v.comes(writer, fmt.Sprintf("late%d", round))
			program.Eventually(d.t, bound, "the other instance sees it", func() bool { return d.shown(other, id) })
			d.redis.do("FLUSHALL")
			v.comes(other, fmt.Sprintf("next%d", round))
			d.converge("all is right again", bound, d.truth(), d.watching())
			program.Eventually(d.t, bound, "Redis has the truth", func() bool { return d.redis.differs(d.truth()) == "" })
		}
	}},
	{"Redis flushed", plan{}, func(d *deployment, v *visits) {
		d.redis.do("FLUSHALL")
		v.everywhere()
	}},
	{"every connection killed", plan{}, func(d *deployment, v *visits) {
		d.redis.killConnections()
		v.everywhere()
		d.redis.killConnections()
	}},
	// Redis closes connections, and then the network is gone for moments.
	{"many reconnects", linked, func(d *deployment, _ *visits) {
		d.knowEachOther()
		killed := int64(0)
		for range 5 {
			killed += d.redis.killConnections()
			d.sleep(400 * time.Millisecond)
			killed += d.redis.killConnections()
			d.redis.awaitRenewal("a", "b", "c") // all leases are new
		}
		if killed < 30 {
			d.t.Fatalf("only %d connections were killed", killed)
		}
		for range 6 {
			d.redis.awaitRenewal("b")
			d.instances[1].link.cut()
			d.sleep(200 * time.Millisecond)
			d.instances[1].link.restore()
		}
	}},
	{"Redis asleep for longer than a lease", plan{}, func(d *deployment, v *visits) {
		awake := d.redis.sleep(4.5)
		v.everywhere()
		awake()
	}},
	// What the reader missed is repaired.
	{"stream trimmed while a reader is away", linked, func(d *deployment, v *visits) {
		d.instances[1].link.cut()
		v.at(d.instances[0])
		d.redis.trim()
		d.instances[1].link.restore()
	}},
	{"slow network", linked, func(d *deployment, v *visits) {
		slow := d.instances[1].link
		slow.slow(200*time.Millisecond, 100*time.Millisecond, "upstream", "downstream")
		v.everywhere()
		d.converge("seen through a slow network", bound, d.truth(), d.watching())
		d.hold("slow", 6*time.Second, d.truth(), d.watching())
		slow.heal()
	}},
}

func TestShortFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range shortFaults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			if fault.plan.instances == 0 {
				fault.plan.instances = 3
			}
			d := deploy(t, fault.plan)
			d.populate(4, false)
			v := &visits{d: d}
			rec := d.record()
			fault.inject(d, v)
			rec.expectRecovery(fault.name, v.came, v.left)
		})
	}
}

// The network between one instance and Redis is away for longer than a lease.
// The others evict it; it goes on serving its own clients, forgets none, and when
// the network is back all is right without a client's doing.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name      string
		cut, heal func(*deployment, *link)
	}{
		{"closed", func(_ *deployment, l *link) { l.cut() }, func(_ *deployment, l *link) { l.restore() }},
		{"hanging", func(_ *deployment, l *link) { l.hang() }, func(_ *deployment, l *link) { l.heal() }},
		{"closed, and the stream trimmed", func(_ *deployment, l *link) { l.cut() }, func(d *deployment, l *link) { d.redis.trim(); l.restore() }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, plan{instances: 3, linked: true})
			d.populate(4, false)
			alone := d.instances[1]
			others, own := d.watching(alone), d.watchingAt(alone)
			rec, away, there := d.record(), &visits{d: d}, &visits{d: d}
			gone := d.at(alone)
			fault.cut(d, alone.link)
			away.at(alone)
			d.converge("its users are gone from the others", bound, d.truth(alone), others)
			rec.expectOnce("cut off", "remove_user", gone, others)

			there.at(d.instances[0])
			d.converge("the others go on", soon, d.truth(alone), others)
			d.hold("cut off", 2*time.Second, d.truth(alone), others)
			rec.expectOnce("cut off", "add_user", away.came, own)
			rec.expectOnce("cut off", "remove_user", away.left, own)

			fault.heal(d, alone.link)
			d.converge("all is right again", bound, d.truth(), d.watching())
			d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
			rec.expectOnce("cut off", "remove_user", append(gone, there.left...), others)
			rec.expectOnce("cut off", "remove_user", append(away.left, there.left...), own)
			rec.expectOnce("cut off", "add_user", append(away.came, there.came...), own)
			d.worksAgain()
		})
	}
}

// Redis is not there when an instance ends: that must not take longer for it.
func TestShutdownWithoutRedis(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 2})
	d.populate(2, false)
	d.redis.Kill()
	for _, in := range d.instances {
		began := time.Now()
		in.shutdown()
		if took := time.Since(began); took > bound {
			t.Errorf("%s needed %s to end", in.name, took)
		}
	}
}

// knowEachOther waits until each instance has seen the others for so long that it
// may evict them.
func (d *deployment) knowEachOther() {
	d.t.Helper()
	d.hold("a while together", 3500*time.Millisecond, d.truth(), d.watching())
}

// shown reports whether all watchers of an instance see a user.
func (d *deployment) shown(in *instance, id string) bool {
	for _, w := range d.watchingAt(in) {
		if !w.shows(id) {
			return false
		}
	}
	return true
}

// visits are users that come and leave during a fault.
type visits struct {
	d          *deployment
	came, left []string
}

// comes has a user come to an instance.
func (v *visits) comes(in *instance, id string) string {
	v.d.t.Helper()
	v.d.join(in, id)
	v.came = append(v.came, id)
	return id
}

// at demands that an instance serves its own clients, whatever is with Redis: a user
// comes, another one leaves, and its watchers see both soon.
func (v *visits) at(in *instance) {
	v.d.t.Helper()
	came, left := v.comes(in, "visitor-"+in.name), ""
	for _, m := range v.d.all() {
		if _, home, connected, _ := m.online(); connected && home == in && strings.HasPrefix(m.id, in.name) {
			left = m.id
			m.leave()
			break
		}
	}
	v.left = append(v.left, left)
	if err := program.Wait(soon, func() bool {
		gone := !slices.ContainsFunc(v.d.watchingAt(in), func(w *watcher) bool { return w.shows(left) })
		return gone && v.d.shown(in, came)
	}); err != nil {
		v.d.t.Errorf("%s comes to and %s leaves %s, and its own watchers do not see that: %v", came, left, in.name, err)
	}
}

// everywhere is at for all instances.
func (v *visits) everywhere() {
	v.d.t.Helper()
	for _, in := range v.d.instances {
		v.at(in)
	}
}
