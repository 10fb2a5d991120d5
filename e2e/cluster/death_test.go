package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// bound is within what everything must be right again: after the death of an
// instance, and after the return of what was away.
const bound = 5 * time.Second

func TestKilledInstance(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3})
	d.populate(4, false)
	// An instance that has just started leaves it to the leases who is dead.
	d.hold("a while together", 4*time.Second, d.truth(), d.watching())
	dead := d.instances[1]
	lost := d.at(dead)
	rec := d.record()
	d.crash(dead)
	d.converge("its users are gone", bound, d.truth(), d.watching(dead))
	last := rec.expectOnce("a killed instance", "remove_user", lost, d.watching(dead))
	for _, w := range d.watching(dead) {
		if r := rec.reasons(w); w.kind != "list" && !slices.Equal(r, []string{"instance_lost"}) {
			t.Errorf("%s was told the reasons %q", w.name(), r)
		}
	}
	t.Logf("users of a killed instance gone everywhere after %s", last.Round(time.Millisecond))

	// Whoever starts now sees none of them either.
	rec = d.record()
	dead.start()
	d.converge("it is back", bound, d.truth(), d.watching())
	rec.expectNoChanges("it is back", d.watching(dead))
	d.worksAgain()
}

// Two find the same dead instance, round after round: whoever comes second must
// neither announce the dead again nor harm those who are back.
func TestTwoFindersOfOneDeath(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 4})
	d.populate(3, false)
	dead := d.instances[3]
	for round := range 3 {
		lost := d.at(dead)
		rec := d.record()
		d.crash(dead)
		d.converge("its users are gone", bound, d.truth(), d.watching(dead))
		for i, id := range lost { // they are back elsewhere at once
			d.join(d.instances[i%3], id)
		}
		d.converge("they are back", soon, d.truth(), d.watching(dead))
		dead.start()
		d.join(dead, fmt.Sprintf("new%d", round))
		d.converge("the instance is back", bound, d.truth(), d.watching())
		d.hold("afterwards", 3*time.Second, d.truth(), d.watching())
		rec.expectOnce("a death with three finders", "remove_user", lost, d.watching(dead))
	}
}

// A new process under the old one's name comes before anybody has noticed: the
// old one's users go nevertheless, the new one's stay.
func TestRestartUnderTheSameName(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3})
	d.populate(4, false)
	again := d.instances[1]
	lost := d.at(again)
	rec := d.record()
	d.crash(again)
	again.start()
	back := d.join(again, lost[0]) // may be in time, or may flicker
	d.join(again, "new")
	d.converge("the old users are gone, the new ones there", bound, d.truth(), d.watching())
	d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
	for _, w := range d.watching(again) {
		steps, _ := rec.since(w)
		count := map[string]int{}
		for _, s := range steps {
			if s.event == "remove_user" {
				count[s.id]++
			}
		}
		for _, id := range lost[1:] {
			if count[id] != 1 {
				t.Errorf("%s was told %d times that %s left", w.name(), count[id], id)
			}
		}
		if n := count[back.id]; n > 1 || len(count) > len(lost) {
			t.Errorf("%s was told that these left: %v", w.name(), count)
		}
	}
	d.worksAgain()
}

// An instance that stood still was given up and is back, and its clients have
// noticed nothing.
func TestPausedInstance(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3})
	d.populate(4, false)
	asleep := d.instances[2]
	gone := d.at(asleep)
	all := d.truth()

	rec := d.record()
	asleep.pause()
	paused := time.Now()
	d.converge("its users are gone", bound, d.truth(asleep), d.watching(asleep))
	last := rec.expectOnce("a paused instance", "remove_user", gone, d.watching(asleep))
	t.Logf("users of a paused instance gone everywhere after %s", last.Round(time.Millisecond))
	d.hold("they stay gone", 10*time.Second-time.Since(paused), d.truth(asleep), d.watching(asleep))

	// Meanwhile the others go on.
	d.join(d.instances[0], "meanwhile")
	asleep.resume()
	resumed := d.record()
	all["meanwhile"] = userJSON("meanwhile", 0)
	took := d.converge("its users are back", bound, all, d.watching())
	t.Logf("all right %s after its resumption", took.Round(time.Millisecond))
	d.hold("afterwards", 4*time.Second, all, d.watching())
	resumed.expectOnce("a resumed instance", "remove_user", nil, d.watching())
	rec.expectOnce("a resumed instance", "add_user", append(gone, "meanwhile"), d.watching(asleep))
	if now := d.truth(); len(now) != len(all) {
		t.Errorf("clients were dropped: %d of %d are left", len(now), len(all))
	}
	for _, w := range d.watching() {
		if _, ok := rec.since(w); !ok {
			t.Errorf("%s was disconnected", w.name())
		}
	}
	d.worksAgain()
}

// The clock that decides about life and death is Redis' own.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]int{"ahead": 60, "behind": -60} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, plan{instances: 2, redisVars: skewedClock(t, skew)})
			began := d.redis.now().UnixMilli()
			if off := time.Duration(began-time.Now().UnixMilli()) * time.Millisecond; (off - time.Duration(skew)*time.Second).Abs() > 5*time.Second {
				t.Fatalf("Redis' clock is %s off, want %d s", off, skew)
			}
			d.populate(3, false)
			rec := d.record()
			d.hold("nobody is taken for dead", 4*time.Second, d.truth(), d.watching())
			rec.expectNoChanges("clocks apart", d.watching())
			for name, ends := range d.redis.leases() {
				if left := time.Duration(ends-d.redis.now().UnixMilli()) * time.Millisecond; left <= 0 || left > 3*time.Second {
					t.Errorf("by Redis' clock the lease of %s has %s left", name, left)
				}
			}
			d.crash(d.instances[1])
			d.converge("a death is noticed", bound, d.truth(), d.watchingAt(d.instances[0]))
		})
	}
}
