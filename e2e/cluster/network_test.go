package cluster

import (
	"testing"
	"time"
)

// The network between one instance and Redis is away for longer than a lease.
// The others give its users up; it goes on serving its own, forgets nobody, and
// when the network is back all is right without a client's doing.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name      string
		cut, heal func(*deployment, *link)
	}{
		{"closed",
			func(_ *deployment, l *link) { l.cut() },
			func(_ *deployment, l *link) { l.restore() }},
		{"hanging",
			func(_ *deployment, l *link) { l.hang() },
			func(_ *deployment, l *link) { l.heal() }},
		{"closed, and the stream trimmed",
			func(_ *deployment, l *link) { l.cut() },
			func(d *deployment, l *link) { d.redis.trim(); l.restore() }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, plan{instances: 3, linked: true})
			d.populate(4, false)
			alone := d.instances[1]
			rec := d.record()
			gone := d.at(alone)
			fault.cut(d, alone.link)
			away := d.servesOwnClients(alone)
			d.converge("its users are gone from the others", bound, d.truth(alone), d.watching(alone))
			last := rec.expectOnce("cut off", "remove_user", gone, d.watching(alone))
			t.Logf("users of an instance that is cut off gone after %s", last.Round(time.Millisecond))

			there := d.servesOwnClients(d.instances[0])
			d.converge("the others go on", soon, d.truth(alone), d.watching(alone))
			d.hold("cut off", 2*time.Second, d.truth(alone), d.watching(alone))
			for _, w := range d.watchingAt(alone) {
				steps, ok := rec.since(w)
				if len(steps) != 2 || !ok {
					t.Errorf("%s was told %v, want one who came and one who left", w.name(), steps)
				}
			}

			fault.heal(d, alone.link)
			took := d.converge("all is right again", bound, d.truth(), d.watching())
			t.Logf("all right %s after the return of the network", took.Round(time.Millisecond))
			d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
			rec.expectOnce("cut off", "remove_user", append(gone, there.left), d.watching(alone))
			rec.expectOnce("cut off", "remove_user", []string{away.left, there.left}, d.watchingAt(alone))
			rec.expectOnce("cut off", "add_user", []string{away.came, there.came}, d.watchingAt(alone))
			d.worksAgain()
		})
	}
}

// A stream trimmed under a reader that was away, for less than would make it
// dead: nobody leaves, and what it missed is repaired.
func TestTrimmedUnderAReader(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3, linked: true})
	d.populate(4, false)
	rec := d.record()
	d.instances[1].link.cut()
	who := d.servesOwnClients(d.instances[0])
	d.redis.trim()
	d.instances[1].link.restore()
	took := d.converge("all is right again", bound, d.truth(), d.watching())
	t.Logf("all right %s after the return of the network", took.Round(time.Millisecond))
	d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
	rec.expectOnce("trimmed", "remove_user", []string{who.left}, d.watching())
	rec.expectOnce("trimmed", "add_user", []string{who.came}, d.watching())
	d.worksAgain()
}

// A slow network delays, no more.
func TestSlowNetwork(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3, linked: true})
	d.populate(4, false)
	rec := d.record()
	slow := d.instances[1]
	slow.link.slow(200*time.Millisecond, 100*time.Millisecond)
	var came, left []string
	for _, in := range d.instances {
		who := d.servesOwnClients(in)
		came, left = append(came, who.came), append(left, who.left)
	}
	took := d.converge("seen through a slow network", bound, d.truth(), d.watching())
	t.Logf("seen by all after %s", took.Round(time.Millisecond))
	d.hold("slow", 6*time.Second, d.truth(), d.watching())
	slow.link.heal()
	d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
	rec.expectOnce("slow", "remove_user", left, d.watching())
	rec.expectOnce("slow", "add_user", came, d.watching())
	d.worksAgain()
}
