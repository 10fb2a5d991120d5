package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/e2e/client"
	"rollcall/e2e/program"
)

// A watcher is a client that keeps a view of who is online from what it is
// told, and every step. What must not happen is a fault.
type watcher struct {
	d     *deployment
	kind  string // the subscription: both, changes or list
	roams bool   // connects to any instance when it is dropped, else to its own

	mu       sync.Mutex // guards all below
	home     *instance
	client   *client.Client
	view     view
	synced   bool // it has had its first list
	connects int  // how often it has connected
	steps    []step
	faults   []string
}

// A view is the users online, in order.
type view struct {
	ids   []string
	users map[string]string
}

// A step is one increment, as told or, of a watcher of lists, as seen.
type step struct {
	at         time.Time
	event      string
	id, reason string
}

// watch adds a watcher, which has its first list when watch returns.
func (d *deployment) watch(in *instance, kind string, roams bool) *watcher {
	d.t.Helper()
	w := &watcher{d: d, kind: kind, roams: roams}
	d.mu.Lock()
	d.watchers = append(d.watchers, w)
	d.mu.Unlock()
	if err := w.connect(in); err != nil {
		d.t.Fatalf("watch %s: %v", in.name, err)
	}
	program.Eventually(d.t, patience, "first list of a watcher at "+in.name, w.inSync)
	return w
}

func (w *watcher) connect(in *instance) error {
	w.mu.Lock()
	w.synced = false
	w.home = in
	w.connects++
	w.mu.Unlock()
	c, err := client.Dial(in.port, "presence="+w.kind, client.Handlers{Event: w.onEvent, Ended: w.dropped})
	if err != nil {
		return err
	}
	if err := c.Do("sync", ""); err != nil {
		c.Close()
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.HasEnded() {
		return client.ErrEnded
	}
	w.client = c
	if w.d.closed() {
		c.Conn.Close() // nobody else will
	}
	return nil
}

func (w *watcher) dropped(c *client.Client) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.client != c || w.d.closed() {
		return
	}
	w.client, w.synced = nil, false
	w.d.spawn(w.comeBack)
}

func (w *watcher) comeBack() {
	for w.d.sleep(100 * time.Millisecond) {
		w.mu.Lock()
		in := w.home
		w.mu.Unlock()
		if w.roams {
			in = w.d.balance()
		}
		if in != nil && in.open.Load() && w.connect(in) == nil {
			return
		}
	}
}

// onEvent gets every event.
func (w *watcher) onEvent(at time.Time, name string, args []json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if name == "server_closing" {
		return // it will be closed, and looks for another instance then
	}
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
		if missing := w.d.missingFrom(list); len(missing) > 0 {
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

// fault notes what must not be. w.mu is held.
func (w *watcher) fault(format string, args ...any) {
	if len(w.faults) < 20 {
		w.faults = append(w.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

func (w *watcher) inSync() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.synced
}

func (w *watcher) name() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("watcher of %s at %s", w.kind, w.home.name)
}

// differs says how the view differs from a truth, "" if it does not.
func (w *watcher) differs(truth map[string]string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.synced {
		return "has no list"
	}
	return w.view.differs(truth)
}

// shows reports whether somebody is in the view.
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

// stepsSince is the steps after one of a connection; ok is false if that has ended.
func (w *watcher) stepsSince(connects, from int) (steps []step, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.steps[from:]), w.connects == connects
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
	var missing, extra, stale []string
	for id, user := range truth {
		if shown, ok := v.users[id]; !ok {
			missing = append(missing, id)
		} else if shown != user {
			stale = append(stale, id)
		}
	}
	for id := range v.users {
		if _, ok := truth[id]; !ok {
			extra = append(extra, id)
		}
	}
	if len(missing)+len(extra)+len(stale) == 0 {
		return ""
	}
	var parts []string
	for what, ids := range map[string][]string{"lacks": missing, "has too much": extra, "has old data of": stale} {
		if len(ids) > 0 {
			slices.Sort(ids)
			parts = append(parts, fmt.Sprintf("%s %v", what, ids))
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
