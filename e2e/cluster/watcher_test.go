package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"rollcall/e2e/client"
	"rollcall/e2e/program"
)

// A watcher is a client that keeps a view of the users online from the events it
// gets, and every step. What must not happen is a fault.
type watcher struct {
	tab  *member // which does not register, and always reconnects
	kind string  // the subscription: both, changes or list

	mu     sync.Mutex // guards all below
	view   view
	synced bool // it has had its first list
	steps  []step
	faults []string
}

// A step is one increment, as told or, of a watcher of lists, as seen.
type step struct {
	at         time.Time
	event      string
	id, reason string
}

// watch adds a watcher, which has its first list when watch returns. One that roams
// connects to any instance when it is disconnected, else to the same.
func (d *deployment) watch(in *instance, kind string, roams bool) *watcher {
	d.t.Helper()
	w := &watcher{kind: kind}
	w.tab = &member{d: d, id: "watcher of " + kind, presence: kind, returns: true, pause: 100 * time.Millisecond, onEvent: w.onEvent}
	w.tab.begin = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.synced = false
	}
	w.tab.settle = func(c *client.Client) error { return c.Do("sync", "") }
	if !roams {
		w.tab.only = in
	}
	d.mu.Lock()
	d.watchers = append(d.watchers, w)
	d.mu.Unlock()
	w.tab.join(in)
	program.Eventually(d.t, patience, "first list of a watcher at "+in.name, w.inSync)
	return w
}

// onEvent gets every event.
func (w *watcher) onEvent(at time.Time, name string, args []json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(args) == 0 {
		w.fault("%s without arguments", name)
		return
	}
	if name == "online_users" {
		w.onList(at, args[0])
		return
	}
	if !w.synced {
		return // it belongs to a list that is not here yet
	}
	if w.kind == "list" {
		w.fault("a watcher of lists was told %s %s", name, args[0])
		return
	}
	id, reason := idOf(args[0]), ""
	if len(args) > 1 {
		var why struct{ Reason string }
		json.Unmarshal(args[1], &why)
		reason = why.Reason
	}
	w.steps = append(w.steps, step{at, name, id, reason})
	if err := w.view.apply(name, id, string(args[0])); err != nil {
		w.fault("%v", err)
	}
}

func (w *watcher) onList(at time.Time, raw json.RawMessage) {
	list, err := parseView(raw)
	if err != nil {
		w.fault("%v", err)
		return
	}
	before := w.view
	w.view = list
	switch {
	case !w.synced:
		w.synced = true
		if missing := w.tab.d.missingFrom(list); len(missing) > 0 {
			w.fault("the first list lacks %v", missing)
		}
	case w.kind == "changes":
		w.fault("a watcher of changes got a list it did not ask for")
	case w.kind == "both":
		// Users and data are exact at any time. The order is exact in lists: deltas
		// append, also a user who joined a moment earlier at another instance.
		if difference := before.differs(list.users); difference != "" {
			w.fault("the list is not what the deltas say: before it the watcher %s", difference)
		}
	default:
		w.steps = append(w.steps, before.stepsTo(list, at)...)
	}
}

// fault notes what must not happen. w.mu is held.
func (w *watcher) fault(format string, args ...any) {
	if len(w.faults) < 20 {
		w.faults = append(w.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// inSync reports whether the watcher is connected and has its first list.
func (w *watcher) inSync() bool {
	_, _, connected, _ := w.tab.online()
	w.mu.Lock()
	defer w.mu.Unlock()
	return connected && w.synced
}

func (w *watcher) name() string {
	_, home, _, _ := w.tab.online()
	return w.tab.id + " at " + home.name
}

// differs says how the view differs from a truth, "" if it does not.
func (w *watcher) differs(truth map[string]string) string {
	if !w.inSync() {
		return "has no list"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view.differs(truth)
}

// shows reports whether a user is in the view.
func (w *watcher) shows(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.view.users[id]
	return ok
}

// allSteps is every step, whatever connection it came over.
func (w *watcher) allSteps() []step {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.steps)
}
