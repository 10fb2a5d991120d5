package cluster

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/e2e/client"
	"rollcall/e2e/program"
)

// Members of a chat room and racers on a stage reconnect to another instance when
// theirs ends, and join again there: in between none is missing, registered or not,
// and without any grace. One that does not reconnect is gone.
func TestRollingRestartOfRoomsAndStages(t *testing.T) {
	t.Parallel()
	d := deploy(t, plan{instances: 3, unwatched: true})
	v := &roomsView{stay: make(map[string]bool), seen: make(map[string][]string)}
	for _, in := range d.instances {
		for i := range 8 {
			v.add(d, in, fmt.Sprintf("user-%s%d", in.name, i), true, true)
			v.add(d, in, fmt.Sprintf("guest-%s%d", in.name, i), false, true)
		}
		v.add(d, in, "leaver-"+in.name, true, false)
		v.add(d, in, "gone-guest-"+in.name, false, false)
	}
	program.Eventually(t, patience, "everybody sees everybody", func() bool { return v.differs(len(d.all())) == "" })
	v.mu.Lock()
	v.complete = true
	v.mu.Unlock()
	all := d.all()
	stopMessages := d.load(5*time.Millisecond, func(int) error {
		return all[rand.N(len(all))].try("message", `{"room":"r","content":"hello"}`)
	})
	for _, in := range d.instances {
		old, told := d.redis.idOf(in.name), time.Now()
		in.shutdown()
		in.start()
		d.comesBack()
		d.leavesNothing(old, told)
	}
	stopMessages()
	if program.Wait(bound, func() bool { return v.differs(len(v.stay)) == "" }) != nil {
		t.Error(v.differs(len(v.stay)))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, fault := range v.faults[:min(len(v.faults), 20)] {
		t.Error(fault)
	}
}

// A roomsView is members that are all in the room "r" and on the stage "s", and what
// each sees there.
type roomsView struct {
	stay map[string]bool // the members that reconnect; complete before it is used

	mu       sync.Mutex          // guards all below
	complete bool                // from here on every list has to have all that stay
	seen     map[string][]string // by member and kind of list: the last list
	faults   []string
}

// add adds a member.
func (v *roomsView) add(d *deployment, in *instance, id string, registers, returns bool) {
	d.t.Helper()
	m := d.newMember(id, returns)
	if !registers {
		m.user = ""
	}
	v.mu.Lock()
	if returns {
		v.stay[id] = true
	}
	v.mu.Unlock()
	m.settle = func(c *client.Client) error {
		if err := c.Do("join", fmt.Sprintf(`{"room":"r","username":%q}`, id)); err != nil {
			return err
		}
		return c.Do("join_stage", fmt.Sprintf(`{"token":"s","id":%q}`, id))
	}
	m.onEvent = func(at time.Time, event string, args []json.RawMessage) { v.onEvent(id, at, event, args) }
	m.join(in)
}

// onEvent notes what a member is told: all these events carry the whole list.
func (v *roomsView) onEvent(member string, at time.Time, event string, args []json.RawMessage) {
	var there []string
	switch event {
	case "user_list", "user_joined", "user_left":
		var told struct{ Users []string }
		json.Unmarshal(args[0], &told)
		there = told.Users
	case "update_stage_s":
		var racers []struct{ ID string }
		json.Unmarshal(args[0], &racers)
		for _, r := range racers {
			there = append(there, r.ID)
		}
	default:
		return
	}
	where, _, _ := strings.Cut(event, "_")
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[member+" "+where] = there
	if !v.complete {
		return
	}
	for id := range v.stay {
		if !slices.Contains(there, id) {
			v.faults = append(v.faults, fmt.Sprintf("%s %s was told %s without %s", at.Format("15:04:05.000"), member, event, id))
		}
	}
}

// differs says which member does not see n members in the room and n racers on the
// stage, each once, "" if all do.
func (v *roomsView) differs(n int) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for member := range v.stay {
		for _, where := range []string{"user", "update"} {
			there := slices.Clone(v.seen[member+" "+where])
			slices.Sort(there)
			if len(slices.Compact(there)) != n || len(v.seen[member+" "+where]) != n {
				return fmt.Sprintf("%s was told (%s…) of %v, and there should be %d", member, where, there, n)
			}
		}
	}
	return ""
}
