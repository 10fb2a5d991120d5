package cluster

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/e2e/client"
	"rollcall/e2e/program"
)

// Those who sit in a chat room and on a stage come to another instance when
// theirs ends, and join again there: in between nobody misses them, registered
// or not, and without any grace. Who does not come back is gone.
func TestRollingRestartOfRoomsAndStages(t *testing.T) {
	t.Parallel()
	d := bare(t, plan{instances: 3})
	p := &roomsView{stay: make(map[string]bool), seen: make(map[string][]string)}
	for _, in := range d.instances {
		for i := range 8 {
			p.add(d, in, fmt.Sprintf("user-%s%d", in.name, i), true, true)
			p.add(d, in, fmt.Sprintf("guest-%s%d", in.name, i), false, true)
		}
		p.add(d, in, "leaver-"+in.name, true, false)
		p.add(d, in, "gone-guest-"+in.name, false, false)
	}
	program.Eventually(t, patience, "everybody sees everybody", func() bool { return p.differs(len(d.all())) == "" })
	p.mu.Lock()
	p.complete = true
	p.mu.Unlock()
	stopMessages := p.sendMessages(d)

	for _, in := range d.instances {
		old := d.redis.idOf(in.name)
		told := time.Now()
		in.shutdown()
		in.start()
		d.comesBack()
		// What was left of the one that ended goes only now.
		if left := d.redis.leftOf(old, goneWithin-time.Since(told)); left != "" {
			t.Errorf("%s after SIGTERM %s of %s", goneWithin, left, old)
		}
	}
	stopMessages()
	if program.Wait(bound, func() bool { return p.differs(len(p.stay)) == "" }) != nil {
		t.Error(p.differs(len(p.stay)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fault := range p.faults[:min(len(p.faults), 20)] {
		t.Error(fault)
	}
}

// A roomsView is members that are all in the room "r" and on the stage "s", and what
// each sees there.
type roomsView struct {
	stay map[string]bool // who comes back; settled before anybody is told anything that counts

	mu       sync.Mutex          // guards all below
	complete bool                // from here on everybody has to see all who stay, at any time
	seen     map[string][]string // by who sees, and where: who was there when it was told last
	faults   []string
}

// add adds a member.
func (p *roomsView) add(d *deployment, in *instance, id string, registers, returns bool) {
	d.t.Helper()
	m := d.newMember(id, returns)
	if !registers {
		m.user = ""
	}
	p.mu.Lock()
	if returns {
		p.stay[id] = true
	}
	p.mu.Unlock()
	m.settle = func(c *client.Client) error {
		if err := c.Do("join", fmt.Sprintf(`{"room":"r","username":%q}`, id)); err != nil {
			return err
		}
		return c.Do("join_stage", fmt.Sprintf(`{"token":"s","id":%q}`, id))
	}
	m.onEvent = func(at time.Time, event string, args []json.RawMessage) { p.onEvent(id, at, event, args) }
	m.join(in)
}

// onEvent notes whom a member is shown: all these events carry the whole list.
func (p *roomsView) onEvent(who string, at time.Time, event string, args []json.RawMessage) {
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[who+" "+where] = there
	if !p.complete {
		return
	}
	for id := range p.stay {
		if !slices.Contains(there, id) {
			p.faults = append(p.faults, fmt.Sprintf("%s %s was told %s without %s", at.Format("15:04:05.000"), who, event, id))
		}
	}
}

// differs says who does not see n members in the room and as many racers on the
// stage, "" if all do; each of them once.
func (p *roomsView) differs(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for who := range p.stay {
		for _, where := range []string{"user", "update"} {
			there := slices.Clone(p.seen[who+" "+where])
			slices.Sort(there)
			if len(slices.Compact(there)) != n || len(p.seen[who+" "+where]) != n {
				return fmt.Sprintf("%s was told (%s…) of %v, and there should be %d", who, where, there, n)
			}
		}
	}
	return ""
}

// sendMessages has members send messages all the time, until stop is called.
func (p *roomsView) sendMessages(d *deployment) (stop func()) {
	var over atomic.Bool
	ended := make(chan struct{})
	said, all := 0, d.all()
	d.spawn(func() {
		defer close(ended)
		for !over.Load() && d.sleep(5*time.Millisecond) {
			m := all[rand.N(len(all))]
			m.mu.Lock()
			c := m.client
			m.mu.Unlock()
			if c != nil && c.Do("message", `{"room":"r","content":"hello"}`) == nil {
				said++
			}
		}
	})
	return func() {
		over.Store(true)
		<-ended
		if said < 30 {
			d.t.Errorf("only %d messages were sent: that is no load", said)
		}
	}
}
