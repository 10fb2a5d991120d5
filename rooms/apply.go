package rooms

import (
	"slices"
	"time"
)

// This file is how changes get into the lists: own ones when they are made, the
// others' when the store tells of them. The flush loop takes them from there.

// receiveChanges is what the store calls with what this instance did not do itself. It
// waits while too much is on its way to the clients.
func (r *Rooms) receiveChanges(changes []Change) {
	var signedOut []Conn
	r.mu.Lock()
	for _, c := range changes {
		switch {
		case c.Message != nil:
			r.queueBroadcast(Broadcast{Event: c.Message.event(), Rooms: []string{RoomList(c.Message.Room)}})
		case c.SignOut != "":
			signedOut = append(signedOut, r.signOut(c.SignOut)...)
		default:
			r.apply(c)
			r.adoptChange(c)
		}
	}
	r.mu.Unlock()
	r.closeSignedOut(signedOut)
	r.awaitRoom()
}

// put sets one of this instance's entries, here and for the others, and returns
// it as it is now. One that does not say when it joined joins now. r.mu is held.
func (r *Rooms) put(e Entry) Entry {
	if e.JoinedAt == 0 {
		e.JoinedAt = r.store.Now()
	}
	r.apply(Change{Entry: e})
	r.store.Put(e)
	return e
}

// remove takes one of this instance's entries away. r.mu is held.
func (r *Rooms) remove(p EntryKey, reason Reason) {
	r.apply(Change{Entry: Entry{EntryKey: p}, Removed: true, Reason: reason})
	r.store.Remove(p, reason)
}

// apply takes a change into the online list or a list. In strict mode everybody is told
// at once. r.mu is held.
func (r *Rooms) apply(c Change) {
	before := r.online.listed(c.Entry.Key)
	switch {
	case c.Entry.List != Online:
		r.applyToList(c)
	case c.Removed:
		r.online.remove(c.Entry.Key, c.Reason)
	default:
		r.online.put(c.Entry)
	}
	if r.options.Strict {
		r.queueStrict(c.Entry, before)
	}
	r.wakeUp()
}

// adoptChange brings this instance's sockets of a user in line with those of another
// instance: with what was chosen there, and with the time of the first. r.mu is
// held.
func (r *Rooms) adoptChange(c Change) {
	e := c.Entry
	if e.List != Online || c.Removed {
		return
	}
	key := keyOf(e)
	u := r.online.users[key]
	if key.anonymous || e.Instance == r.options.Instance || u == nil {
		return
	}
	if e.StatusAt > 0 && e.StatusAt == u.status.at {
		r.shareStatus(key, u.status.current(), u.status.at)
	}
	if r.joinedLater(u) {
		r.shareJoinTime(u)
	}
}

// applyToList takes an entry into a list. A socket of ours is in a chat
// room from here on, or no longer. r.mu is held.
func (r *Rooms) applyToList(c Change) {
	e := c.Entry
	own := r.sessions[socketOf(e.Key)]
	if c.Removed {
		if isRoom(e.List) && own != nil {
			r.membership.leave(own, e.List)
		}
		r.lists.remove(e.EntryKey)
		return
	}
	before := r.lists.nameOf(e.EntryKey)
	r.lists.put(e, time.Now().UnixMilli())
	if isRoom(e.List) && own != nil {
		_, follows := r.membership[e.List][own]
		r.membership.join(own, e.List)
		r.lists.requestSnapshot(e.List, own, snapshotRequest{follows, []*name{before, r.lists.nameOf(e.EntryKey)}})
	}
}

// joinedLater reports whether a socket of this instance has a later time than its
// user's place: two registered at a time, and neither knew of the other. r.mu is
// held.
func (r *Rooms) joinedLater(u *onlineUser) bool {
	return u.listed && len(u.sockets) > 1 && !r.options.Strict && slices.ContainsFunc(u.sockets, func(t *onlineSocket) bool {
		return t.entry.Instance == r.options.Instance && t.entry.JoinedAt > u.rank.at
	})
}

// setTimes gives an entry of the user online its place in the list: a further socket
// takes the time of the user's first, and a user who becomes visible again joins
// now. In strict mode each socket has a time of its own. r.mu is held.
func (r *Rooms) setTimes(e *Entry, k userKey) {
	now := r.store.Now()
	if u := r.online.users[k]; u != nil {
		e.VisibleAt = u.status.visibleAt
		switch {
		case u.listed && !r.options.Strict && (e.JoinedAt == 0 || e.JoinedAt > u.rank.at):
			e.JoinedAt = u.rank.at
		case !u.listed && e.Status != Hidden && e.StatusAt > u.status.at:
			e.VisibleAt = now
		}
	}
	if e.JoinedAt == 0 {
		e.JoinedAt = now
	}
	e.JoinedAt = max(e.JoinedAt, e.VisibleAt) // and not that the user was there before
}

// registeredAt is the time of a registration now: later than every one of the
// user that is known here, whatever the clocks. r.mu is held.
func (r *Rooms) registeredAt(k userKey) int64 {
	now := r.store.Now()
	if u := r.online.users[k]; u != nil {
		return max(now, registration(u.sockets[len(u.sockets)-1].entry).at+1)
	}
	return now
}
