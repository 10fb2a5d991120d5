package rooms

import "time"

// This file is what comes back from the store: each change goes into the view or
// a roster, and from there the flush loop takes it.

// apply is what the store calls with each change.
func (r *Rooms) apply(c Change) {
	switch {
	case c.Said != nil:
		r.deliver(Message{Event: c.Said.event(), Rooms: []string{RoomList(c.Said.Room)}})
	case c.SignOut != "":
		r.mu.Lock()
		r.pending.signOuts = append(r.pending.signOuts, c.SignOut)
		r.mu.Unlock()
		r.wakeUp()
	case r.options.Strict:
		r.applyStrictly(c)
	default:
		r.mu.Lock()
		r.applyEntry(c)
		r.mu.Unlock()
		r.wakeUp()
	}
}

// applyEntry takes an entry into the view or a roster. r.mu is held.
func (r *Rooms) applyEntry(c Change) {
	e := c.Entry
	if e.List != Online {
		r.applyToRoster(c)
		return
	}
	if c.Removed {
		r.view.remove(e.Key, c.Reason)
		return
	}
	u := r.view.put(e)
	if e.Instance != r.options.Instance && e.StatusAt > 0 && e.StatusAt == u.presence.at && !u.key.anonymous {
		if r.pending.adopt == nil {
			r.pending.adopt = make(map[userKey]struct{})
		}
		r.pending.adopt[u.key] = struct{}{}
	}
}

// applyToRoster takes an entry into a roster. A socket of ours is in a chat
// room from here on, or no longer. r.mu is held.
func (r *Rooms) applyToRoster(c Change) {
	e := c.Entry
	own := r.sessions[socketOf(e.Key)]
	if !c.Removed && isRoom(e.List) && own != nil {
		r.membership.join(own, e.List)
		r.rosters.owe(e.List, own)
	}
	if c.Removed {
		if isRoom(e.List) && own != nil {
			r.membership.leave(own, e.List)
		}
		r.rosters.remove(e.Place)
		return
	}
	r.rosters.put(e, time.Now().UnixMilli())
}

// joinedAt is when a user came online who registers now: a further tab takes
// the time of those before.
func (r *Rooms) joinedAt(k userKey) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.view.users[k]; u != nil && u.place != nil {
		return u.joinedAt
	}
	return r.store.Now()
}
