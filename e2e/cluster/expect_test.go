package cluster

import (
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/e2e/program"
)

// What tests demand of the watchers.

// converge waits until all of these watchers see the truth, and fails if that
// takes longer than its bound. It returns how long it took.
func (d *deployment) converge(what string, within time.Duration, truth map[string]string, watchers []*watcher) time.Duration {
	d.t.Helper()
	began := time.Now()
	if len(watchers) == 0 {
		d.t.Fatalf("%s: there are no watchers", what)
	}
	var difference string
	if err := program.Wait(within, func() bool { difference = differs(truth, watchers); return difference == "" }); err != nil {
		d.t.Fatalf("%s: %v: %s", what, err, difference)
	}
	return time.Since(began)
}

// hold demands that for a while all of these watchers see the truth.
func (d *deployment) hold(what string, during time.Duration, truth map[string]string, watchers []*watcher) {
	d.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); d.sleep(10 * time.Millisecond) {
		if difference := differs(truth, watchers); difference != "" {
			d.t.Fatalf("%s: %s", what, difference)
		}
	}
}

// differs says how what these watchers see differs from a truth, "" if it does not.
func differs(truth map[string]string, watchers []*watcher) string {
	var all []string
	for _, w := range watchers {
		if difference := w.differs(truth); difference != "" {
			all = append(all, w.name()+" "+difference)
		}
	}
	return strings.Join(all, "\n")
}

// worksAgain demands that after a fault everything works: Redis has the truth, for
// Rails and for instances that start next, and what happens at one instance is seen
// at all, which list in the same order.
func (d *deployment) worksAgain() {
	d.t.Helper()
	truth := d.truth()
	if program.Wait(bound, func() bool { return d.redis.differs(truth) == "" }) != nil {
		d.t.Errorf("%s, even %s after all was right", d.redis.differs(truth), bound)
	}
	for _, in := range d.instances {
		if !in.Ended() {
			m := d.join(in, "afterwards-"+in.name)
			d.converge("afterwards a member comes to "+in.name, soon, d.truth(), d.watching())
			m.leave()
		}
	}
	d.converge("afterwards a member leaves", soon, d.truth(), d.watching())
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
		if !in.Ended() {
			lists = append(lists, in.Get("/api/online_users").Body)
		}
	}
	return lists
}

// A recording counts what each watcher is told after one moment.
type recording struct {
	d     *deployment
	at    time.Time
	marks map[*watcher]mark
}

type mark struct{ losses, steps int }

// record begins to count what each watcher is told.
func (d *deployment) record() *recording {
	rec := &recording{d, time.Now(), make(map[*watcher]mark)}
	for _, w := range d.watching() {
		rec.marks[w] = mark{w.tab.losses(), len(w.allSteps())}
	}
	return rec
}

// since is what a watcher was told since then; ok is false for one that was
// disconnected meanwhile, and so may have missed something.
func (rec *recording) since(w *watcher) (steps []step, ok bool) {
	m, known := rec.marks[w]
	if !known {
		return nil, false
	}
	return w.allSteps()[m.steps:], w.tab.losses() == m.losses
}

// counts is how often a watcher was told an event of each user since then.
func (rec *recording) counts(w *watcher, event string) map[string]int {
	counts := make(map[string]int)
	steps, ok := rec.since(w)
	if !ok {
		rec.d.t.Errorf("%s was disconnected", w.name())
	}
	for _, s := range steps {
		if s.event == event {
			counts[s.id]++
		}
	}
	return counts
}

// expectOnce demands that each of these watchers was told an event exactly once of
// each of these users, and of no other.
func (rec *recording) expectOnce(what, event string, ids []string, watchers []*watcher) {
	rec.d.t.Helper()
	want := make(map[string]int)
	for _, id := range ids {
		want[id] = 1
	}
	for _, w := range watchers {
		if got := rec.counts(w, event); !maps.Equal(got, want) {
			rec.d.t.Errorf("%s: %s was told %s of %v, want of %v", what, w.name(), event, got, want)
		}
	}
}

// expectNoChanges demands that none of these watchers was told that a user came or
// left.
func (rec *recording) expectNoChanges(what string, watchers []*watcher) {
	rec.d.t.Helper()
	rec.expectOnce(what, "remove_user", nil, watchers)
	rec.expectOnce(what, "add_user", nil, watchers)
}

// expectRecovery demands that after a fault all watchers see the truth in time, that
// it stays so for as long as it takes to evict an instance by mistake, that each was
// told once of each user that came or left, and that everything works.
func (rec *recording) expectRecovery(what string, came, left []string) {
	d := rec.d
	d.t.Helper()
	took := d.converge(what, bound, d.truth(), d.watching())
	d.t.Logf("all right %s after the end of the fault", took.Round(time.Millisecond))
	d.hold("afterwards", 4*time.Second, d.truth(), d.watching())
	rec.expectOnce(what, "remove_user", left, d.watching())
	rec.expectOnce(what, "add_user", came, d.watching())
	d.worksAgain()
}
