package rooms

import (
	"slices"
	"time"
)

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
	if e.Instance == r.options.Instance || u.key.anonymous {
		return
	}
	if e.StatusAt > 0 && e.StatusAt == u.presence.at || r.joinedLater(u) {
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
	if c.Removed {
		if isRoom(e.List) && own != nil {
			r.membership.leave(own, e.List)
		}
		r.rosters.remove(e.Place)
		return
	}
	before := r.rosters.nameOf(e.Place)
	r.rosters.put(e, time.Now().UnixMilli())
	if isRoom(e.List) && own != nil {
		_, follows := r.membership[e.List][own]
		r.membership.join(own, e.List)
		r.rosters.owe(e.List, own, owing{follows, []*name{before, r.rosters.nameOf(e.Place)}})
	}
}

// joinedLater reports whether a tab of this instance has a later time than its
// user's place: two registered at a time, and neither knew of the other. r.mu is
// held.
func (r *Rooms) joinedLater(u *onlineUser) bool {
	return u.listed && len(u.tabs) > 1 && !r.options.Strict && slices.ContainsFunc(u.tabs, func(t *tab) bool {
		return t.entry.Instance == r.options.Instance && t.entry.JoinedAt > u.place.at
	})
}

// setTimes gives an entry of the user online its place in the list, at the
// moment of its put: a further tab takes the time of the user's first, and a
// user who becomes visible again joins now. In strict mode each tab has a time
// of its own.
func (r *Rooms) setTimes(e *Entry, k userKey) {
	now := r.store.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.view.users[k]; u != nil {
		e.VisibleAt = u.presence.visibleAt
		switch {
		case u.listed && !r.options.Strict && (e.JoinedAt == 0 || e.JoinedAt > u.place.at):
			e.JoinedAt = u.place.at
		case !u.listed && e.Status != Hidden && e.StatusAt > u.presence.at:
			e.VisibleAt = now
		}
	}
	if e.JoinedAt == 0 {
		e.JoinedAt = now
	}
	e.JoinedAt = max(e.JoinedAt, e.VisibleAt) // and not that the user was there before
}

// registeredAt is the time of a registration now: later than every one of the
// user that is known here, whatever the clocks.
func (r *Rooms) registeredAt(k userKey) int64 {
	now := r.store.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.view.users[k]; u != nil {
		return max(now, registration(u.tabs[len(u.tabs)-1].entry).at+1)
	}
	return now
}
