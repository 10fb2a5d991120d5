package cluster

import (
	"fmt"
	"testing"
	"time"
)

// Three instances find the same dead one, round after round: each announces the end
// of its users once, with the reason, and harms none that are back. An instance that
// starts afterwards shows none of them.
func TestKilledInstance(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 4})
	d.populate(3, false)
	d.knowEachOther()
	dead := d.instances[3]
	others := d.watching(dead)
	for round := range 3 {
		lost := d.at(dead)
		rec := d.record()
		d.crash(dead)
		took := d.converge("its users are gone", bound, d.truth(), others)
		t.Logf("users of a killed instance gone everywhere after %s", took.Round(time.Millisecond))
		for i, id := range lost { // they are back elsewhere at once
			d.join(d.instances[i%3], id)
		}
		d.converge("they are back", soon, d.truth(), others)
		started := d.record()
		dead.start()
		d.converge("the instance is back", bound, d.truth(), d.watching())
		started.expectNoChanges("the instance is back", others)
		d.join(dead, fmt.Sprintf("new%d", round))
		d.converge("it has a user", bound, d.truth(), d.watching())
		d.hold("afterwards", 3*time.Second, d.truth(), d.watching())
		rec.expectOnce("a death that three find", "remove_user", lost, others)
		for _, w := range others {
			steps, _ := rec.since(w)
			for _, s := range steps {
				if w.kind != "list" && s.event == "remove_user" && s.reason != "instance_lost" {
					t.Errorf("%s was told the reason %q", w.name(), s.reason)
				}
			}
		}
	}
	d.worksAgain()
}

// A process starts under the name of one that has just died, before any instance
// has noticed: the old one's users go nevertheless, the new one's stay.
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
		counts := rec.counts(w, "remove_user")
		for _, id := range lost[1:] {
			if counts[id] != 1 {
				t.Errorf("%s was told %d times that %s left", w.name(), counts[id], id)
			}
		}
		if counts[back.id] > 1 || len(counts) > len(lost) {
			t.Errorf("%s was told that these left: %v", w.name(), counts)
		}
	}
	d.worksAgain()
}

// A paused instance was evicted and is resumed; its clients have noticed nothing.
func TestPausedInstance(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3})
	d.populate(4, false)
	asleep := d.instances[2]
	others := d.watching(asleep)
	gone, all := d.at(asleep), d.truth()
	rec := d.record()
	asleep.pause()
	paused := time.Now()
	d.converge("its users are gone", bound, d.truth(asleep), others)
	rec.expectOnce("a paused instance", "remove_user", gone, others)
	d.hold("they stay gone", 10*time.Second-time.Since(paused), d.truth(asleep), others)

	// Meanwhile the others go on.
	d.join(d.instances[0], "meanwhile")
	asleep.resume()
	resumed := d.record()
	all["meanwhile"] = userJSON("meanwhile", 0)
	took := d.converge("its users are back", bound, all, d.watching())
	t.Logf("all right %s after its resumption", took.Round(time.Millisecond))
	d.hold("afterwards", 4*time.Second, all, d.watching())
	resumed.expectOnce("a resumed instance", "remove_user", nil, d.watching())
	rec.expectOnce("a resumed instance", "add_user", append(gone, "meanwhile"), others)
	if now := d.truth(); len(now) != len(all) {
		t.Errorf("clients were disconnected: %d of %d are left", len(now), len(all))
	}
	d.worksAgain()
}

// The clock that decides which instance has failed is Redis' own.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]int{"ahead": 60, "behind": -60} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, plan{instances: 2, redisVars: skewedClock(t, skew)})
			if off := time.Until(d.redis.now()); (off - time.Duration(skew)*time.Second).Abs() > 5*time.Second {
				t.Fatalf("Redis' clock is %s off, want %d s", off, skew)
			}
			d.populate(3, false)
			rec := d.record()
			d.hold("no instance is evicted", 4*time.Second, d.truth(), d.watching())
			rec.expectNoChanges("clocks apart", d.watching())
			for name, ends := range d.redis.leases() {
				if left := time.UnixMilli(ends).Sub(d.redis.now()); left <= 0 || left > 3*time.Second {
					t.Errorf("by Redis' clock the lease of %s has %s left", name, left)
				}
			}
			d.crash(d.instances[1])
			d.converge("a death is noticed", bound, d.truth(), d.watchingAt(d.instances[0]))
		})
	}
}
