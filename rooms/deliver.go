package rooms

import (
	"encoding/json"
	"slices"
	"time"
)

// This file is what leaves: messages, what changed in the rosters, and the one
// fan-out that everything goes through.

// deliver brings a message to the sockets of this instance that it is for. The
// bus calls it with one message at a time, so each socket gets them in order.
func (r *Rooms) deliver(m Broadcast) {
	r.mu.Lock()
	r.queue(m)
	r.mu.Unlock()
	r.awaitRoom()
}

// queue puts a message into the outbox, behind what waits in the lists that it is
// for: everybody knows a name before its message. r.mu is held.
func (r *Rooms) queue(m Broadcast) {
	for _, room := range m.Rooms {
		r.queueRoster(room)
	}
	r.outbox.add(packet{events: []Event{m.Event}, to: r.receivers(m)})
	r.wakeUp()
}

// queueRoster puts what waits in one roster into the outbox. r.mu is held.
func (r *Rooms) queueRoster(list string) {
	if ro := r.rosters.byList[list]; ro != nil && ro.dirty != nil {
		for _, p := range r.cutRoster(ro) {
			r.outbox.add(p)
		}
	}
}

// send encodes packets, each once however many get it, and fans them out. Only the
// flush loop calls it, so that each socket gets everything in one order.
func (r *Rooms) send(packets []packet) {
	deliveries := make([]Delivery, 0, len(packets))
	for _, p := range packets {
		if len(p.events) > 0 && len(p.to) > 0 {
			r.noteSent(p.events, len(p.to))
			deliveries = append(deliveries, Delivery{Frames: r.sender.Encode(p.events...), To: p.to})
		}
	}
	if len(deliveries) > 0 {
		r.sender.Fanout(deliveries)
	}
}

// cutRoster takes what waits in a roster out of the books. r.mu is held.
func (r *Rooms) cutRoster(ro *roster) []packet {
	r.rosters.dirty.Remove(ro.dirty)
	changed, owed := ro.changed, ro.owed
	ro.dirty, ro.changed, ro.owed = nil, false, nil
	defer r.rosters.forgetEmpty(ro)

	steps, whole := r.rosterEvents(ro)
	if !changed && !isRoom(ro.list) { // of a room, steps are what changed, whatever changed it
		steps = nil
	}
	out := []packet{{events: eventsOf(steps)}, {events: []Event{whole}}}
	for s, o := range owed {
		switch {
		case r.sessions[s.id] != s:
		case o.follows:
			out = append(out, packet{events: append(eventsOf(o.missed(steps)), whole), to: []Conn{s.conn}})
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

// receivers is the sockets that get a message. r.mu is held.
func (r *Rooms) receivers(m Broadcast) []Conn {
	if len(m.Rooms) == 0 {
		to := make([]Conn, 0, len(r.sessions))
		excepted := r.inAny(m.Except)
		for _, s := range r.sessions {
			if _, out := excepted[s]; !out {
				to = append(to, s.conn)
			}
		}
		return to
	}
	now := time.Now().UnixMilli()
	for _, room := range m.Rooms {
		if ro := r.rosters.byList[room]; ro != nil {
			r.rosters.used(ro, now) // a race that goes on is in use
		}
	}
	all, excepted := r.inAny(m.Rooms), r.inAny(m.Except)
	to := make([]Conn, 0, len(all))
	for s := range all {
		if _, out := excepted[s]; !out {
			to = append(to, s.conn)
		}
	}
	return to
}
