package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

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
