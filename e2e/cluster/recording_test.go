package cluster

import (
	"slices"
	"time"
)

// A recording is how far each watcher's record was at one moment: what came after
// can be counted.
type recording struct {
	d     *deployment
	at    time.Time
	marks map[*watcher]mark
}

type mark struct{ connects, steps int }

// record begins to count what each watcher is told.
func (d *deployment) record() *recording {
	rec := &recording{d, time.Now(), make(map[*watcher]mark)}
	for _, w := range d.watching() {
		w.mu.Lock()
		rec.marks[w] = mark{w.connects, len(w.steps)}
		w.mu.Unlock()
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
	return w.stepsSince(m.connects, m.steps)
}

// expectOnce demands that each of these watchers was told an event exactly once of
// each of these users, and of nobody else. It returns when the last was told.
func (rec *recording) expectOnce(what, event string, ids []string, watchers []*watcher) (last time.Duration) {
	rec.d.t.Helper()
	for _, w := range watchers {
		steps, ok := rec.since(w)
		if !ok {
			rec.d.t.Errorf("%s: %s was disconnected", what, w.name())
			continue
		}
		count := make(map[string]int)
		for _, s := range steps {
			if s.event == event {
				count[s.id]++
				last = max(last, s.at.Sub(rec.at))
			}
		}
		for _, id := range ids {
			if count[id] != 1 {
				rec.d.t.Errorf("%s: %s was told %s of %s %d times, want once", what, w.name(), event, id, count[id])
			}
			delete(count, id)
		}
		for id, n := range count {
			rec.d.t.Errorf("%s: %s was told %s of %s %d times, want never", what, w.name(), event, id, n)
		}
	}
	return last
}

// expectNoChanges demands that none of these watchers was told that somebody left,
// or came.
func (rec *recording) expectNoChanges(what string, watchers []*watcher) {
	rec.d.t.Helper()
	rec.expectOnce(what, "remove_user", nil, watchers)
	rec.expectOnce(what, "add_user", nil, watchers)
}

// reasons are those of the departures that a watcher was told.
func (rec *recording) reasons(w *watcher) (reasons []string) {
	steps, _ := rec.since(w)
	for _, s := range steps {
		if s.event == "remove_user" && !slices.Contains(reasons, s.reason) {
			reasons = append(reasons, s.reason)
		}
	}
	return reasons
}
