package cluster

import (
	"slices"
	"time"
)

// A book is how far each watcher's record was at one moment: what came after
// can be counted.
type book struct {
	d     *deployment
	at    time.Time
	marks map[*watcher]mark
}

type mark struct{ life, steps int }

func (d *deployment) open() *book {
	b := &book{d, time.Now(), make(map[*watcher]mark)}
	for _, w := range d.watching() {
		w.mu.Lock()
		b.marks[w] = mark{w.life, len(w.steps)}
		w.mu.Unlock()
	}
	return b
}

// since is what a watcher was told since then; ok is false for one that was
// disconnected meanwhile, and so may have missed something.
func (b *book) since(w *watcher) (steps []step, ok bool) {
	m, known := b.marks[w]
	if !known {
		return nil, false
	}
	return w.told(m.life, m.steps)
}

// saw demands that each of these watchers was told an event exactly once of
// each of these users, and of nobody else. It returns when the last was told.
func (b *book) saw(what, event string, ids []string, watchers []*watcher) (last time.Duration) {
	b.d.t.Helper()
	for _, w := range watchers {
		steps, ok := b.since(w)
		if !ok {
			b.d.t.Errorf("%s: %s was disconnected", what, w.name())
			continue
		}
		count := make(map[string]int)
		for _, s := range steps {
			if s.event == event {
				count[s.id]++
				last = max(last, s.at.Sub(b.at))
			}
		}
		for _, id := range ids {
			if count[id] != 1 {
				b.d.t.Errorf("%s: %s was told %s of %s %d times, want once", what, w.name(), event, id, count[id])
			}
			delete(count, id)
		}
		for id, n := range count {
			b.d.t.Errorf("%s: %s was told %s of %s %d times, want never", what, w.name(), event, id, n)
		}
	}
	return last
}

// nobodyLeft demands that none of these watchers was told that somebody left,
// or came.
func (b *book) nobodyLeft(what string, watchers []*watcher) {
	b.d.t.Helper()
	b.saw(what, "remove_user", nil, watchers)
	b.saw(what, "add_user", nil, watchers)
}

// reasons are those of the departures that a watcher was told.
func (b *book) reasons(w *watcher) (reasons []string) {
	steps, _ := b.since(w)
	for _, s := range steps {
		if s.event == "remove_user" && !slices.Contains(reasons, s.reason) {
			reasons = append(reasons, s.reason)
		}
	}
	return reasons
}
