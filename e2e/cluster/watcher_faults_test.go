package cluster

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// The watchers find what cannot be: else no other test here says anything.
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
		w := &watcher{d: &deployment{}, kind: c.kind}
		for _, told := range c.told {
			name, arg, _ := strings.Cut(told, " ")
			w.onEvent(time.Now(), name, []json.RawMessage{json.RawMessage(arg)})
		}
		if got := strings.Join(w.faults, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("a watcher of %s told %q found %q, want %q", c.kind, c.told, got, c.want)
		}
	}
}
