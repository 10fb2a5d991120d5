package rooms

import "encoding/json"

// This file is what clients are sent of the online list, as JSON. Each is made once
// and kept until the online list changes.

// encodeList returns the listed users as an array: each once, or one per socket.
func (v *onlineList) encodeList() json.RawMessage {
	if v.encodedList != nil {
		return v.encodedList
	}
	out := make([]byte, 0, v.bytes+v.size()+2)
	out = append(out, '[')
	add := func(user json.RawMessage) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, user...)
	}
	if v.strict {
		for t := range v.socketOrder.all() {
			if t.user.listed {
				add(t.entry.Data)
			}
		}
	} else {
		for u := range v.order.all() {
			add(u.data)
		}
	}
	v.encodedList = append(out, ']')
	return v.encodedList
}

// encodeStatuses returns the status of everybody who is not active, by id: an
// object, nil if there is nobody. Who has no id cannot be named.
func (v *onlineList) encodeStatuses() json.RawMessage {
	if v.encodedStatuses == nil {
		away := make(map[string]Status)
		for u := range v.order.all() {
			if u.shownStatus != Active && !u.key.anonymous {
				away[u.key.id] = u.shownStatus
			}
		}
		v.encodedStatuses = encode(away)
	}
	if len(v.encodedStatuses) == len("{}") {
		return nil
	}
	return v.encodedStatuses
}

// encodeIDs returns the listed users' ids as an object of trues. Who has no id is
// not in it: a socket's id is nobody else's business.
func (v *onlineList) encodeIDs() json.RawMessage {
	if v.encodedIDs != nil {
		return v.encodedIDs
	}
	out := make([]byte, 0, 32*v.size()+2)
	out = append(out, '{')
	for u := range v.order.all() {
		if u.key.anonymous {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, encode(u.key.id)...)
		out = append(out, ":true"...)
	}
	v.encodedIDs = append(out, '}')
	return v.encodedIDs
}

// snapshotEvents are the events that carry the whole list.
func (v *onlineList) snapshotEvents() []Event {
	args := []json.RawMessage{v.encodeList()}
	if !v.strict { // Node's list has nothing beside it
		if statuses := v.encodeStatuses(); statuses != nil {
			args = append(args, statuses)
		}
	}
	return []Event{{"online_users", args}}
}

// idsEvents are the events that carry the ids alone.
func (v *onlineList) idsEvents() []Event {
	return []Event{{"updateOnlineUsers", []json.RawMessage{v.encodeIDs()}}}
}

// OnlineUsers returns the present list as a JSON array. The bytes are shared:
// they must not be changed.
func (r *Rooms) OnlineUsers() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.online.encodeList()
}

// events are the deltas that make the difference.
func (d delta) events() []Event {
	out := make([]Event, 0, len(d.removed)+len(d.updated)+len(d.added)+1) // and a list
	for _, gone := range d.removed {
		out = append(out, Event{"remove_user", []json.RawMessage{gone.user, encode(map[string]Reason{"reason": gone.reason})}})
	}
	for _, u := range d.updated {
		out = append(out, u.event("update_user", u.statusChanged))
	}
	for _, u := range d.added {
		out = append(out, u.event("add_user", false))
	}
	return out
}

// event names the status if it is not the usual one, or another than before.
func (u shownUser) event(name string, restated bool) Event {
	if u.status == Active && !restated {
		return Event{name, []json.RawMessage{u.user}}
	}
	return Event{name, []json.RawMessage{u.user, encode(map[string]Status{"status": u.status})}}
}

// encode is for values of this package that cannot fail.
func encode(v any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		panic("rooms: " + err.Error()) // ours, not the client's
	}
	return out
}
