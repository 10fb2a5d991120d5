package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
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

// A view is the users online, in order.
type view struct {
	ids   []string
	users map[string]string
}

// apply carries out an increment, or says why it cannot be.
func (v *view) apply(event, id, user string) error {
	known, present := v.users[id]
	switch event {
	case "add_user":
		if present {
			return fmt.Errorf("add_user of %s, who is present", id)
		}
		v.ids = append(v.ids, id)
		v.users[id] = user
	case "update_user":
		if !present {
			return fmt.Errorf("update_user of %s, who is not present", id)
		}
		v.users[id] = user
	case "remove_user":
		if !present {
			return fmt.Errorf("remove_user of %s, who is not present", id)
		}
		v.ids = slices.DeleteFunc(v.ids, func(other string) bool { return other == id })
		delete(v.users, id)
		if known != user {
			return fmt.Errorf("remove_user of %s with data not shown before: %s", id, user)
		}
	default:
		return fmt.Errorf("unknown event %s", event)
	}
	return nil
}

func parseView(raw json.RawMessage) (view, error) {
	v := view{users: make(map[string]string)}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return v, fmt.Errorf("a list that is none: %w", err)
	}
	for _, user := range list {
		id := idOf(user)
		if _, twice := v.users[id]; twice {
			return v, fmt.Errorf("a list with %s twice", id)
		}
		v.ids = append(v.ids, id)
		v.users[id] = string(user)
	}
	return v, nil
}

func (v *view) differs(truth map[string]string) string {
	var parts []string
	for id, user := range truth {
		if shown, ok := v.users[id]; !ok {
			parts = append(parts, "lacks "+id)
		} else if shown != user {
			parts = append(parts, "has old data of "+id)
		}
	}
	for id := range v.users {
		if _, ok := truth[id]; !ok {
			parts = append(parts, "still has "+id)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// stepsTo are the increments between two lists.
func (v *view) stepsTo(next view, at time.Time) (steps []step) {
	for _, id := range v.ids {
		if _, stays := next.users[id]; !stays {
			steps = append(steps, step{at, "remove_user", id, ""})
		}
	}
	for _, id := range next.ids {
		if before, was := v.users[id]; !was {
			steps = append(steps, step{at, "add_user", id, ""})
		} else if before != next.users[id] {
			steps = append(steps, step{at, "update_user", id, ""})
		}
	}
	return steps
}

// idOf is a user's id, as text.
func idOf(user json.RawMessage) string {
	var u struct{ ID string }
	if json.Unmarshal(user, &u) != nil || u.ID == "" {
		return string(user)
	}
	return u.ID
}

// The watchers find what must not happen: else no other test here says anything.
func TestWatchersFindFaults(t *testing.T) {
	const ann, ann2, ben = `{"id":"ann"}`, `{"id":"ann","v":2}`, `{"id":"ben"}`
	list := func(users ...string) string { return "online_users [" + strings.Join(users, ",") + "]" }
	for _, c := range []struct {
		kind, want string
		told       []string
	}{
		{"both", "", []string{list(ann), "add_user " + ben, list(ann, ben), "remove_user " + ann, "add_user " + ann, list(ben, ann)}},
		{"changes", "", []string{"remove_user " + ben, list(ann), "update_user " + ann2, "remove_user " + ann2}},
		{"list", "", []string{list(ann), list(ann, ben), list(ben)}},
		{"both", "who is present", []string{list(ann), "add_user " + ann}},
		{"both", "who is not present", []string{list(ann), "remove_user " + ben}},
		{"both", "who is not present", []string{list(ann), "update_user " + ben}},
		{"changes", "not shown before", []string{list(ann), "remove_user " + ann2}},
		{"changes", "did not ask for", []string{list(ann), list(ann)}},
		{"both", "not what the deltas say", []string{list(ann), list(ann, ben)}},
		{"both", "", []string{list(ann, ben), list(ben, ann)}}, // the order is that of lists
		{"both", "not what the deltas say", []string{list(ann), list(ann2)}},
		{"both", "with ann twice", []string{list(ann, ann)}},
		{"list", "a watcher of lists", []string{list(ann), "add_user " + ben}},
	} {
		w := &watcher{tab: &member{d: &deployment{}}, kind: c.kind}
		for _, told := range c.told {
			name, arg, _ := strings.Cut(told, " ")
			w.onEvent(time.Now(), name, []json.RawMessage{json.RawMessage(arg)})
		}
		if got := strings.Join(w.faults, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("a watcher of %s told %q found %q, want %q", c.kind, c.told, got, c.want)
		}
	}
}
