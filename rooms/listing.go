package rooms

import "encoding/json"

// This file is what clients are sent of the view, as JSON. Each is made once
// and kept until the view changes.

// list returns the listed users as an array: each once, or one per socket.
func (v *view) list() json.RawMessage {
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
		for t := range v.rows.all() {
			if t.user.listed {
				add(t.entry.Data)
			}
		}
	} else {
		for u := range v.order.all() {
			add(u.shown)
		}
	}
	v.encodedList = append(out, ']')
	return v.encodedList
}

// statuses returns the status of everybody who is not active, by id: an
// object, nil if there is nobody. Who has no id cannot be named.
func (v *view) statuses() json.RawMessage {
	if v.encodedStatuses == nil {
		away := make(map[string]Status)
		for u := range v.order.all() {
			if u.status != Active && !u.key.anonymous {
				away[u.key.id] = u.status
			}
		}
		v.encodedStatuses = encode(away)
	}
	if len(v.encodedStatuses) == len("{}") {
		return nil
	}
	return v.encodedStatuses
}

// object returns the listed users' ids as an object of trues. Who has no id is
// not in it: a socket's id is nobody else's business.
func (v *view) object() json.RawMessage {
	if v.encodedObject != nil {
		return v.encodedObject
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
	v.encodedObject = append(out, '}')
	return v.encodedObject
}

// listEvents are the events that carry the whole list.
func (v *view) listEvents() []Event {
	args := []json.RawMessage{v.list()}
	if !v.strict { // Node's list has nothing beside it
		if statuses := v.statuses(); statuses != nil {
			args = append(args, statuses)
		}
	}
	return []Event{{"online_users", args}}
}

// objectEvents are the events that carry the ids alone.
func (v *view) objectEvents() []Event {
	return []Event{{"updateOnlineUsers", []json.RawMessage{v.object()}}}
}

// OnlineUsers returns the present list as a JSON array. The bytes are shared:
// they must not be changed.
func (r *Rooms) OnlineUsers() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view.list()
}

// events are the increments that make the difference.
func (d diff) events() []Event {
	out := make([]Event, 0, len(d.departed)+len(d.updated)+len(d.added)+1) // and a list
	for _, gone := range d.departed {
		out = append(out, Event{"remove_user", []json.RawMessage{gone.user, encode(map[string]Reason{"reason": gone.reason})}})
	}
	for _, u := range d.updated {
		out = append(out, u.event("update_user", u.restated))
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
