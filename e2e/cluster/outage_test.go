package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// An outage is a fault of Redis itself. In none of them does anybody leave, and
// nobody may be seen leaving.
type outage struct {
	name string
	// inject returns when Redis is back. It calls during, once, while Redis is
	// away or as near to that as the fault allows.
	inject func(d *deployment, during func())
}

var outages = []outage{
	{"restarted with its data", func(d *deployment, during func()) {
		d.redis.shutdown()
		during()
		d.redis.start()
	}},
	{"away for longer than a lease", func(d *deployment, during func()) {
		d.redis.shutdown()
		away := time.Now()
		during()
		d.sleep(5*time.Second - time.Since(away))
		d.redis.start()
	}},
	{"restarted empty", func(d *deployment, during func()) {
		d.redis.Kill()
		during()
		d.redis.start()
	}},
	{"restarted empty at once", func(d *deployment, during func()) {
		d.redis.Kill()
		d.redis.start()
		during()
	}},
	{"away for longer than a lease, and empty", func(d *deployment, during func()) {
		d.redis.Kill()
		away := time.Now()
		during()
		d.sleep(5*time.Second - time.Since(away))
		d.redis.start()
	}},
	{"restarted with older data", func(d *deployment, during func()) {
		d.redis.save()
		during()
		d.converge("what is not in the older data is seen", soon, d.truth(), d.watching())
		d.redis.Kill()
		d.redis.start()
	}},
	{"flushed", func(d *deployment, during func()) {
		d.redis.do("FLUSHALL")
		during()
	}},
	{"every connection killed", func(d *deployment, during func()) {
		d.redis.killClients("normal")
		d.redis.killClients("pubsub")
		during()
		d.redis.killClients("normal")
		d.redis.killClients("pubsub")
	}},
	{"asleep for longer than a lease", func(d *deployment, during func()) {
		awake := d.redis.sleep(4.5)
		during()
		awake()
	}},
}

func TestRedisOutages(t *testing.T) {
	t.Parallel()
	for _, fault := range outages {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, plan{instances: 3})
			d.populate(4, false)
			rec := d.record()
			var came, left []string
			fault.inject(d, func() {
				for _, in := range d.instances {
					who := d.servesOwnClients(in)
					came, left = append(came, who.came), append(left, who.left)
				}
			})
			took := d.converge("all is right again", bound, d.truth(), d.watching())
			t.Logf("all right %s after the return of Redis", took.Round(time.Millisecond))
			// Whoever is taken for dead by mistake is so within a lease or two.
			d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
			rec.expectOnce(fault.name, "remove_user", left, d.watching())
			rec.expectOnce(fault.name, "add_user", came, d.watching())
			d.worksAgain()
		})
	}
}

// Redis is away for so long that the leases of some have run out and those of
// others have not: whoever comes back first must not bury who comes second.
func TestAwayForLessThanALease(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3, apart: 320 * time.Millisecond})
	d.populate(3, false)
	d.hold("a while together", 3500*time.Millisecond, d.truth(), d.watching()) // from now on they judge
	rec := d.record()
	d.redis.awaitRenewal("a-") // the others' renewals are longer ago
	d.redis.shutdown()
	d.sleep(1600 * time.Millisecond)
	for _, second := range d.instances[1:] {
		second.pause()
	}
	d.redis.start()
	d.redis.awaitRenewal("a-")
	for _, second := range d.instances[1:] {
		second.resume()
	}
	d.hold("afterwards", 5*time.Second, d.truth(), d.watching())
	rec.expectNoChanges("a short absence", d.watching())
	d.worksAgain()
}

// An instance that goes on writing where it was, into data older than that,
// must not look to the others as if it were all there.
func TestOlderDataWrittenToAtOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3, linked: true})
	d.populate(4, false)
	d.redis.save()
	writer := d.instances[0]
	d.join(writer, "not in the older data")
	d.converge("all there", soon, d.truth(), d.watching())
	rec := d.record()
	writer.link.slow(200*time.Millisecond, 0) // the others look before it has put all back
	for _, in := range d.instances[1:] {
		in.pause()
	}
	d.redis.Kill()
	d.join(writer, "written at once")
	d.redis.start()
	program.Eventually(t, bound, "the first instance writes", func() bool { return d.redis.has("written at once") })
	for _, in := range d.instances[1:] {
		in.resume()
	}
	d.converge("all is right again", bound, d.truth(), d.watching())
	d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
	rec.expectOnce("older data", "remove_user", nil, d.watching())
	rec.expectOnce("older data", "add_user", []string{"written at once"}, d.watching())
	d.worksAgain()
}

// A change that Redis carried out, and lost, before its owner heard that it was
// carried out, is not on its way any more.
func TestConfirmedLate(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 2, linked: true})
	d.populate(2, false)
	writer, other := d.instances[0], d.instances[1]
	writer.link.slowAnswers(60*time.Millisecond, 60*time.Millisecond) // which comes first is left to chance
	rec := d.record()
	var came []string
	for round := range 20 {
		m := d.join(writer, fmt.Sprintf("late%d", round))
		came = append(came, m.id)
		program.Eventually(t, bound, "the other instance sees it", func() bool {
			for _, w := range d.watchingAt(other) {
				if !w.shows(m.id) {
					return false
				}
			}
			return true
		})
		d.redis.do("FLUSHALL")
		came = append(came, d.join(other, fmt.Sprintf("next%d", round)).id)
		d.converge("all is right again", bound, d.truth(), d.watching())
		program.Eventually(t, bound, "Redis has the truth", func() bool { return d.redis.differs(d.truth()) == "" })
	}
	rec.expectOnce("confirmed late", "remove_user", nil, d.watching())
	rec.expectOnce("confirmed late", "add_user", came, d.watching())
	d.worksAgain()
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
		took := time.Since(began)
		t.Logf("%s ended %s after SIGTERM", in.name, took.Round(time.Millisecond))
		if took > bound {
			t.Errorf("%s needed %s to end", in.name, took)
		}
	}
}

// A connection that breaks and comes back is no death, however often: neither
// when Redis closes it, nor when the network is gone for a moment.
func TestReconnectIsNotDeath(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3, linked: true})
	d.populate(4, false)
	d.hold("a while together", 3*time.Second, d.truth(), d.watching()) // from now on they judge
	rec := d.record()
	killed := int64(0)
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); d.sleep(400 * time.Millisecond) {
		killed += d.redis.killClients("pubsub") + d.redis.killClients("normal")
	}
	if killed < 30 {
		t.Fatalf("only %d connections were killed", killed)
	}
	for range 6 {
		d.instances[1].link.cut()
		d.sleep(400 * time.Millisecond)
		d.instances[1].link.restore()
		d.sleep(1200 * time.Millisecond)
	}
	d.converge("all is right again", bound, d.truth(), d.watching())
	d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
	rec.expectNoChanges("reconnects", d.watching())
	d.worksAgain()
}

type visit struct{ came, left string }

// servesOwnClients demands that an instance serves its own clients, whatever is
// with Redis: somebody comes, somebody leaves, and its watchers see both soon.
func (d *deployment) servesOwnClients(in *instance) visit {
	d.t.Helper()
	var who visit
	who.came = "visitor-" + in.name
	d.join(in, who.came)
	for _, m := range d.all() {
		if _, home, connected, _ := m.online(); connected && home == in && strings.HasPrefix(m.id, in.name) {
			who.left = m.id
			m.leave()
			break
		}
	}
	if err := program.Wait(soon, func() bool {
		for _, w := range d.watchingAt(in) {
			if !w.shows(who.came) || w.shows(who.left) {
				return false
			}
		}
		return true
	}); err != nil {
		d.t.Errorf("%s comes to and %s leaves %s, and its own watchers do not see that: %v", who.came, who.left, in.name, err)
	}
	return who
}
