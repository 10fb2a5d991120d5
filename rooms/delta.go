package rooms

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// This file makes what clients are sent of the online list.

// A delta is how the online list differs from what was announced, in order of its events.
type delta struct {
	removed   []removal
	updated   []userUpdate
	added     []shownUser // in order of joining
	reordered bool        // no event says so
}

// A removal is of a user who was announced, with that data.
type removal struct {
	user   json.RawMessage
	reason Reason
}

type userUpdate struct {
	shownUser
	statusChanged, dataChanged bool
}

// hasDelta reports whether the next delta may have something in it.
func (l *onlineList) hasDelta() bool {
	return len(l.removed) > 0 || len(l.maybeUpdated) > 0 || len(l.added) > 0 || l.reordered
}

// takeDelta returns the net changes since the last call, which count as announced
// from here on: a user who came and went in between is not in it, one who went and
// came back is in it twice, since the place in the list may be another.
func (l *onlineList) takeDelta() delta {
	d := delta{removed: l.removed, reordered: l.reordered}
	for _, u := range l.maybeUpdated {
		u.maybeUpdated = false
		if u.announced.user == nil { // gone, or gone and back
			continue
		}
		statusChanged, dataChanged := u.announced.status != u.shownStatus, !bytes.Equal(u.announced.user, u.data)
		if statusChanged || dataChanged {
			u.announced = shownUser{u.data, u.shownStatus}
			d.updated = append(d.updated, userUpdate{u.announced, statusChanged, dataChanged})
		}
	}
	for _, u := range slices.SortedFunc(maps.Keys(l.added), l.order.compare) {
		u.announced = shownUser{u.data, u.shownStatus}
		d.added = append(d.added, u.announced)
	}
	l.removed, l.maybeUpdated, l.reordered = nil, nil, false
	clear(l.added)
	return d
}

// changesList reports whether the list is another, and not only a user's status.
func (d delta) changesList() bool {
	return d.reordered || len(d.removed) > 0 || len(d.added) > 0 ||
		slices.ContainsFunc(d.updated, func(u userUpdate) bool { return u.dataChanged })
}

// withoutHidden leaves out the removals of users who hid, for sessions that connected
// since: nobody may name these users to them.
func (d delta) withoutHidden() delta {
	d.removed = slices.DeleteFunc(slices.Clone(d.removed), func(r removal) bool { return r.reason == Hid })
	return d
}

// isEmpty reports whether there are no events.
func (d delta) isEmpty() bool { return len(d.removed)+len(d.updated)+len(d.added) == 0 }

func (d delta) events() []Event {
	out := make([]Event, 0, len(d.removed)+len(d.updated)+len(d.added))
	for _, r := range d.removed {
		reason := encode(map[string]Reason{"reason": r.reason})
		out = append(out, Event{"remove_user", []json.RawMessage{r.user, reason}})
	}
	for _, u := range d.updated {
		out = append(out, u.event("update_user", u.statusChanged))
	}
	for _, u := range d.added {
		out = append(out, u.event("add_user", false))
	}
	return out
}

// event has the status if it is not Active, or if it must.
func (u shownUser) event(name string, withStatus bool) Event {
	if u.status == Active && !withStatus {
		return Event{name, []json.RawMessage{u.user}}
	}
	return Event{name, []json.RawMessage{u.user, encode(map[string]Status{"status": u.status})}}
}

// encodeList returns the listed users as an array, in strict mode one for each socket.
func (l *onlineList) encodeList() json.RawMessage {
	if l.encodedList != nil {
		return l.encodedList
	}
	out := append(make([]byte, 0, l.bytes+l.order.size+2), '[')
	if l.strict {
		for s := range l.socketOrder.all() {
			if s.user.listed {
				out = appendItem(out, s.entry.Data)
			}
		}
	} else {
		for u := range l.order.all() {
			out = appendItem(out, u.data)
		}
	}
	l.encodedList = append(out, ']')
	return l.encodedList
}

// encodeStatuses returns the statuses other than Active by user id, as an object, nil
// if there are none. Users without an id cannot be named.
func (l *onlineList) encodeStatuses() json.RawMessage {
	if l.encodedStatuses == nil {
		away := make(map[string]Status)
		for u := range l.order.all() {
			if u.shownStatus != Active && !u.key.anonymous {
				away[u.key.id] = u.shownStatus
			}
		}
		l.encodedStatuses = encode(away)
	}
	if len(l.encodedStatuses) == len("{}") {
		return nil
	}
	return l.encodedStatuses
}

// encodeIDs returns the listed users' ids as an object of trues. Users without an id
// are not in it: other clients must not learn a socket's id.
func (l *onlineList) encodeIDs() json.RawMessage {
	if l.encodedIDs != nil {
		return l.encodedIDs
	}
	out := append(make([]byte, 0, 32*l.order.size+2), '{')
	for u := range l.order.all() {
		if !u.key.anonymous {
			out = append(appendItem(out, encode(u.key.id)), ":true"...)
		}
	}
	l.encodedIDs = append(out, '}')
	return l.encodedIDs
}

func (l *onlineList) dropEncoded() {
	l.encodedList, l.encodedStatuses, l.encodedIDs = nil, nil, nil
}

// snapshotEvents are the events with the whole list.
func (l *onlineList) snapshotEvents() []Event {
	args := []json.RawMessage{l.encodeList()}
	if !l.strict { // Node's list has nothing beside it
		if statuses := l.encodeStatuses(); statuses != nil {
			args = append(args, statuses)
		}
	}
	return []Event{{"online_users", args}}
}

// idsEvents are the events with the ids alone.
func (l *onlineList) idsEvents() []Event {
	return []Event{{"updateOnlineUsers", []json.RawMessage{l.encodeIDs()}}}
}

// appendItem appends a value to an array or object that is being encoded.
func appendItem(out, value []byte) []byte {
	if len(out) > 1 {
		out = append(out, ',')
	}
	return append(out, value...)
}

// encode is for values of this package, which cannot fail.
func encode(v any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		panic("rooms: " + err.Error())
	}
	return out
}
