package cluster

import (
	"testing"
	"time"

	"rollcall/e2e/program"
)

// A rolling restart under clients that come back by themselves: with a grace
// nobody is seen leaving, and whoever connects finds everybody.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	d := bare(t, plan{instances: 3, vars: []string{"GRACE=5s"}})
	for _, in := range d.instances {
		for _, kind := range []string{"both", "changes", "list"} {
			d.watch(in, kind, true)
		}
	}
	d.populate(8, true)
	d.mu.Lock()
	d.complete = true
	d.mu.Unlock()
	all := d.truth()
	for _, in := range d.instances {
		began := time.Now()
		in.shutdown()
		t.Logf("%s ended %s after SIGTERM", in.name, time.Since(began).Round(time.Millisecond))
		in.start()
		d.comesBack()
	}
	d.converge("all see all", bound, all, d.watching())
	// What was held for those who went is let go by now.
	d.hold("after the grace", 8*time.Second, all, d.watching())
	for _, w := range d.watching() {
		for _, s := range w.allSteps() {
			if s.event == "remove_user" {
				t.Errorf("%s was told that %s left (%s)", w.name(), s.id, s.reason)
			}
		}
	}

	// And somebody who does not come back is gone, after the grace.
	d.all()[0].leave()
	d.converge("who leaves is gone after the grace", 5*time.Second+bound, d.truth(), d.watching())
}

// comesBack waits until every member and every watcher is connected.
func (d *deployment) comesBack() {
	d.t.Helper()
	program.Eventually(d.t, patience, "everybody is connected again", func() bool {
		for _, m := range d.all() {
			if _, _, connected, ok := m.online(); ok && !connected {
				return false
			}
		}
		for _, w := range d.watching() {
			if !w.inSync() {
				return false
			}
		}
		return true
	})
}
