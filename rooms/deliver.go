package rooms

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// This file queues what leaves at once: broadcasts, the deltas of the members of a list,
// and in strict mode every list that changes.

// receiveBroadcast brings a broadcast to the sockets of this instance. The bus calls
// it with one at a time, so each socket gets them in order. It takes the lock.
func (c *core) receiveBroadcast(b Broadcast) {
	c.mu.Lock()
	c.queueBroadcast(b)
	c.mu.Unlock()
	c.awaitRoom()
}

// queueBroadcast queues a broadcast, behind the deltas of the lists that it is for:
// clients know a username before its message.
func (c *core) queueBroadcast(b Broadcast) {
	now := time.Now().UnixMilli()
	for _, room := range b.Rooms {
		c.queueMembers(room)
		if l := c.lists.byName[room]; l != nil {
			c.lists.markUsed(l, now) // a race with speeds is in use
		}
	}
	c.outbox.add(batch{events: []Event{b.Event}, to: c.sessions.receivers(b)})
}

// queueMembers queues what is due of one list.
func (c *core) queueMembers(list string) {
	if l := c.lists.byName[list]; l != nil && l.dirtyElement != nil {
		for _, b := range c.takeMembers(l) {
			c.outbox.add(b)
		}
	}
}

// takeMembers returns the delta and the snapshot of a list for the sockets that get
// them. Afterwards they count as announced.
func (c *core) takeMembers(l *memberList) []batch {
	c.lists.dirty.Remove(l.dirtyElement)
	changed, requests := l.changed, l.requests
	l.dirtyElement, l.changed, l.requests = nil, false, nil
	defer c.lists.dropIfEmpty(l)

	deltas, snapshot := c.memberEvents(l)
	if !changed && !isRoom(l.name) { // a chat room's deltas also come from users who hid
		deltas = nil
	}
	out := []batch{{events: deltaEvents(deltas)}, {events: []Event{snapshot}}}
	for s, request := range requests {
		switch {
		case c.sessions.byID[s.id] != s:
		case request.hasSnapshot:
			out = append(out, batch{events: append(deltaEvents(request.missed(deltas)), snapshot), to: []Conn{s.conn}})
		default:
			out[1].to = append(out[1].to, s.conn)
		}
	}
	receivers := maps.Keys(c.sessions.rooms[l.name])
	if c.options.Strict && !isRoom(l.name) {
		receivers = maps.Values(c.sessions.byID)
	}
	for s := range receivers {
		if _, gets := requests[s]; !gets {
			out[0].to = append(out[0].to, s.conn)
		}
	}
	return slices.DeleteFunc(out, func(b batch) bool { return len(b.events) == 0 })
}

// A memberDelta is one event of a list's delta: of one username, or nil.
type memberDelta struct {
	name  *name
	event Event
}

func deltaEvents(deltas []memberDelta) []Event {
	out := make([]Event, len(deltas), len(deltas)+1) // and the snapshot
	for i, one := range deltas {
		out[i] = one.event
	}
	return out
}

// missed returns the deltas that must come before the snapshot for a session that
// requested it: none if it is new, or if they are of its own names alone. Else all,
// since each shows the names as they are after it.
func (r snapshotRequest) missed(deltas []memberDelta) []memberDelta {
	if !r.hasSnapshot || !slices.ContainsFunc(deltas, func(one memberDelta) bool {
		return one.name != nil && !slices.Contains(r.ownNames, one.name)
	}) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(deltas), func(one memberDelta) bool { return one.name == nil })
}

// memberEvents returns what sessions get that have what was announced of a list, and others.
func (c *core) memberEvents(l *memberList) (deltas []memberDelta, snapshot Event) {
	title := titleOf(l.name)
	switch {
	case isRoom(l.name):
		return l.names.takeDeltas(title, l.visibleNames(c.online.hidesSocket))
	case isStage(l.name):
		snapshot = Event{"update_stage_" + title, []json.RawMessage{l.encode(true, c.online.hidesOwner)}}
	default:
		snapshot = Event{"race_" + title + "_update", []json.RawMessage{l.encode(false, c.online.hidesOwner)}}
	}
	return []memberDelta{{nil, snapshot}}, snapshot
}

// queueStrict is COMPAT=strict: as in the Node service each change is a list of its
// own, for every session, even if the list is the same; but nothing that a hidden
// user does may show. The deltas, which Node did not have, go with the flush.
func (c *core) queueStrict(e Entry, wasListed bool) {
	if e.List != Online {
		c.queueMembers(e.List)
		return
	}
	visible := wasListed || c.online.isListed(e.Key)
	c.queueStrictList(func(s *session) bool { return visible || s.id == e.Key })
}

// queueStrictList queues the list for those of the sessions that take lists.
func (c *core) queueStrictList(gets func(*session) bool) {
	var to, toIDs []Conn
	for _, s := range c.sessions.byID {
		if s.takesSnapshots() && gets(s) {
			to = append(to, s.conn)
			if s.wantsIDs {
				toIDs = append(toIDs, s.conn)
			}
		}
	}
	c.outbox.add(batch{events: c.online.snapshotEvents(), to: to})
	if len(toIDs) > 0 {
		c.outbox.add(batch{events: c.online.idsEvents(), to: toIDs})
	}
}
