package rooms

import (
	"encoding/json"
	"slices"
	"time"
)

// This file tells the sessions what changed in the rosters, and brings them
// messages. Both happen under Rooms.telling, so that everybody hears of a room,
// a stage or a race in one order; sending only queues, it does not wait.

// tellRosters tells everything that waits, and returns what that cost.
func (r *Rooms) tellRosters() time.Duration {
	started := time.Now()
	for r.tellNext() {
	}
	return time.Since(started)
}

// tellNext tells what waits in one roster, and reports whether there was one.
// Messages can come in between.
func (r *Rooms) tellNext() bool {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	first := r.rosters.dirty.Front()
	if first == nil {
		r.mu.Unlock()
		return false
	}
	deliveries := r.cutRoster(first.Value.(*roster))
	r.mu.Unlock()
	r.send(deliveries)
	return true
}

// tellRoster tells what waits in one list: before a message for its members,
// who then know from whom it is. r.telling is held.
func (r *Rooms) tellRoster(list string) {
	r.mu.Lock()
	var deliveries []addressed
	if ro := r.rosters.byList[list]; ro != nil && ro.dirty != nil {
		deliveries = r.cutRoster(ro)
	}
	r.mu.Unlock()
	r.send(deliveries)
}

// addressed is events with who gets them.
type addressed struct {
	events []Event
	to     []Conn
}

func (r *Rooms) send(deliveries []addressed) {
	for _, d := range deliveries {
		if len(d.events) == 0 || len(d.to) == 0 {
			continue
		}
		r.noteSent(d.events, len(d.to))
		frames := r.sender.Encode(d.events...) // once, however many get it
		for _, c := range d.to {
			c.Send(frames)
		}
	}
}

// cutRoster takes what waits in a roster out of the books. r.mu is held.
func (r *Rooms) cutRoster(ro *roster) []addressed {
	r.rosters.dirty.Remove(ro.dirty)
	changed, owed := ro.changed, ro.owed
	ro.dirty, ro.changed, ro.owed = nil, false, nil
	defer r.rosters.forgetEmpty(ro)

	steps, whole := r.rosterEvents(ro)
	if !changed && !isRoom(ro.list) { // of a room, steps are what changed, whatever changed it
		steps = nil
	}
	out := []addressed{{events: eventsOf(steps)}, {events: []Event{whole}}}
	for s, o := range owed {
		switch {
		case r.sessions[s.id] != s:
		case o.follows:
			out = append(out, addressed{append(eventsOf(o.missed(steps)), whole), []Conn{s.conn}})
		default:
			out[1].to = append(out[1].to, s.conn)
		}
	}
	add := func(s *session) {
		if _, had := owed[s]; !had {
			out[0].to = append(out[0].to, s.conn)
		}
	}
	if r.options.Strict && !isRoom(ro.list) {
		for _, s := range r.sessions {
			add(s)
		}
	} else {
		for s := range r.membership[ro.list] {
			add(s)
		}
	}
	return out
}

// A step is one event of what changed in a roster: of whom, nil: of several.
type step struct {
	of    *name
	event Event
}

func eventsOf(steps []step) []Event {
	out := make([]Event, len(steps), len(steps)+1) // and the whole
	for i, one := range steps {
		out[i] = one.event
	}
	return out
}

// missed is the steps that must come before the whole for a session that is owed
// it: none if it is new, or if they are of its own names alone. Else all of them,
// since each shows the names as they are after it.
func (o owing) missed(steps []step) []step {
	if !o.follows || !slices.ContainsFunc(steps, func(one step) bool {
		return one.of != nil && !slices.Contains(o.own, one.of)
	}) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(steps), func(one step) bool { return one.of == nil })
}

// rosterEvents is what those get who know the roster as it was told last, and
// those who do not know it.
func (r *Rooms) rosterEvents(ro *roster) (steps []step, whole Event) {
	title := titleOf(ro.list)
	switch {
	case isRoom(ro.list):
		return ro.names.tell(title, ro.present(r.view.hidesTab))
	case isStage(ro.list):
		whole = Event{"update_stage_" + title, []json.RawMessage{ro.array(true, r.view.hidesOwner)}}
	default:
		whole = Event{"race_" + title + "_update", []json.RawMessage{ro.array(false, r.view.hidesOwner)}}
	}
	return []step{{nil, whole}}, whole
}

// deliver brings a message to the sockets of this instance that it is for. The
// bus calls it with one message at a time, so each socket gets them in order.
func (r *Rooms) deliver(m Message) {
	r.telling.Lock()
	defer r.telling.Unlock()
	for _, room := range m.Rooms {
		r.tellRoster(room)
	}
	r.send([]addressed{{[]Event{m.Event}, r.receivers(m)}})
}

func (r *Rooms) receivers(m Message) []Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	var to []Conn
	excepted := r.inAny(m.Except)
	add := func(s *session) {
		if _, out := excepted[s]; !out {
			to = append(to, s.conn)
		}
	}
	if len(m.Rooms) == 0 {
		to = make([]Conn, 0, len(r.sessions))
		for _, s := range r.sessions {
			add(s)
		}
		return to
	}
	now := time.Now().UnixMilli()
	for _, room := range m.Rooms {
		if ro := r.rosters.byList[room]; ro != nil {
			r.rosters.used(ro, now) // a race that goes on is in use
		}
	}
	for s := range r.inAny(m.Rooms) {
		add(s)
	}
	return to
}
