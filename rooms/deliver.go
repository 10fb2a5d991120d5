package rooms

import (
	"encoding/json"
	"slices"
	"time"
)

// This file is what leaves: messages, what changed in the lists, and the one
// fan-out that everything goes through.

// receiveBroadcast brings a message to the sockets of this instance that it is for. The
// bus calls it with one message at a time, so each socket gets them in order.
func (r *Rooms) receiveBroadcast(m Broadcast) {
	r.mu.Lock()
	r.queueBroadcast(m)
	r.mu.Unlock()
	r.awaitRoom()
}

// queueBroadcast puts a message into the outbox, behind what waits in the lists that it is
// for: everybody knows a name before its message. r.mu is held.
func (r *Rooms) queueBroadcast(m Broadcast) {
	for _, room := range m.Rooms {
		r.queueMembers(room)
	}
	r.outbox.add(batch{events: []Event{m.Event}, to: r.receivers(m)})
	r.wakeUp()
}

// queueMembers puts what waits in one list into the outbox. r.mu is held.
func (r *Rooms) queueMembers(list string) {
	if ro := r.lists.byName[list]; ro != nil && ro.dirtyElement != nil {
		for _, p := range r.takeMembers(ro) {
			r.outbox.add(p)
		}
	}
}

// fanOut encodes packets, each once however many get it, and fans them out. Only the
// flush loop calls it, so that each socket gets everything in one order.
func (r *Rooms) fanOut(packets []batch) {
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

// takeMembers takes what waits in a list out of the books. r.mu is held.
func (r *Rooms) takeMembers(ro *memberList) []batch {
	r.lists.dirty.Remove(ro.dirtyElement)
	changed, owed := ro.changed, ro.snapshots
	ro.dirtyElement, ro.changed, ro.snapshots = nil, false, nil
	defer r.lists.dropIfEmpty(ro)

	steps, whole := r.memberEvents(ro)
	if !changed && !isRoom(ro.name) { // of a room, steps are what changed, whatever changed it
		steps = nil
	}
	out := []batch{{events: deltaEvents(steps)}, {events: []Event{whole}}}
	for s, o := range owed {
		switch {
		case r.sessions[s.id] != s:
		case o.hasSnapshot:
			out = append(out, batch{events: append(deltaEvents(o.missedDeltas(steps)), whole), to: []Conn{s.conn}})
		default:
			out[1].to = append(out[1].to, s.conn)
		}
	}
	add := func(s *session) {
		if _, had := owed[s]; !had {
			out[0].to = append(out[0].to, s.conn)
		}
	}
	if r.options.Strict && !isRoom(ro.name) {
		for _, s := range r.sessions {
			add(s)
		}
	} else {
		for s := range r.membership[ro.name] {
			add(s)
		}
	}
	return out
}

// A memberDelta is one event of what changed in a list: of whom, nil: of several.
type memberDelta struct {
	name  *name
	event Event
}

func deltaEvents(steps []memberDelta) []Event {
	out := make([]Event, len(steps), len(steps)+1) // and the whole
	for i, one := range steps {
		out[i] = one.event
	}
	return out
}

// missedDeltas is the steps that must come before the whole for a session that is owed
// it: none if it is new, or if they are of its own names alone. Else all of them,
// since each shows the names as they are after it.
func (o snapshotRequest) missedDeltas(steps []memberDelta) []memberDelta {
	if !o.hasSnapshot || !slices.ContainsFunc(steps, func(one memberDelta) bool {
		return one.name != nil && !slices.Contains(o.ownNames, one.name)
	}) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(steps), func(one memberDelta) bool { return one.name == nil })
}

// memberEvents is what those get who know the list as it was told last, and
// those who do not know it.
func (r *Rooms) memberEvents(ro *memberList) (steps []memberDelta, whole Event) {
	title := titleOf(ro.name)
	switch {
	case isRoom(ro.name):
		return ro.names.takeDeltas(title, ro.visibleNames(r.online.hidesSocket))
	case isStage(ro.name):
		whole = Event{"update_stage_" + title, []json.RawMessage{ro.encode(true, r.online.hidesOwner)}}
	default:
		whole = Event{"race_" + title + "_update", []json.RawMessage{ro.encode(false, r.online.hidesOwner)}}
	}
	return []memberDelta{{nil, whole}}, whole
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
		if ro := r.lists.byName[room]; ro != nil {
			r.lists.markUsed(ro, now) // a race that goes on is in use
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
