package rooms

import (
	"cmp"
	"time"
)

// This file takes changes into the lists: this instance's, and the others' from the store.

// receiveChanges is called by the store with what this instance did not do itself.
// It takes the lock, and waits while too much is queued for the clients.
func (r *Rooms) receiveChanges(changes []Change) {
	var signedOut []Conn
	r.mu.Lock()
	for _, change := range changes {
		switch {
		case change.Message != nil:
			r.queueBroadcast(Broadcast{Event: change.Message.event(), Rooms: []string{RoomList(change.Message.Room)}})
		case change.SignOut != "":
			signedOut = append(signedOut, r.signOut(change.SignOut)...)
		default:
			r.apply(change)
			r.statuses.adoptChange(change)
		}
	}
	r.mu.Unlock()
	r.closeSignedOut(signedOut)
	r.awaitRoom()
}

// put sets one of this instance's entries, here and for the others, and returns it as
// it is now. One without a time of joining joins now; but in a chat room a further
// socket has the time of the first one with its name.
func (c *core) put(e Entry) Entry {
	if e.JoinedAt == 0 && isRoom(e.List) {
		e.JoinedAt = c.lists.joinedAt(e.List, e.Data)
	}
	e.JoinedAt = cmp.Or(e.JoinedAt, c.store.Now())
	c.apply(Change{Entry: e})
	c.store.Put(e)
	return e
}

// remove takes one of this instance's entries away.
func (c *core) remove(key EntryKey, reason Reason) {
	c.apply(Change{Entry: Entry{EntryKey: key}, Removed: true, Reason: reason})
	c.store.Remove(key, reason)
}

// apply takes a change into its list. In strict mode the list is queued at once.
func (c *core) apply(change Change) {
	wasListed := c.online.isListed(change.Entry.Key)
	switch {
	case change.Entry.List != Online:
		c.applyToMembers(change)
	case change.Removed:
		c.online.remove(change.Entry.Key, change.Reason)
	default:
		c.online.put(change.Entry)
	}
	if c.options.Strict {
		c.queueStrict(change.Entry, wasListed)
	}
	c.outbox.wakeUp()
}

// applyToMembers takes a change into another list than Online. An own socket is in the
// chat room from here on, or no longer.
func (c *core) applyToMembers(change Change) {
	e := change.Entry
	own := c.sessions.byID[socketOf(e.Key)]
	if change.Removed {
		if isRoom(e.List) && own != nil {
			c.sessions.leave(own, e.List)
		}
		c.lists.remove(e.EntryKey)
		return
	}
	before := c.lists.nameOf(e.EntryKey)
	c.lists.put(e, time.Now().UnixMilli())
	if isRoom(e.List) && own != nil {
		_, hasSnapshot := c.sessions.rooms[e.List][own]
		c.sessions.join(own, e.List)
		c.lists.requestSnapshot(e.List, own, snapshotRequest{hasSnapshot, []*name{before, c.lists.nameOf(e.EntryKey)}})
	}
}

// putEntry sets one of a session's entries, with the session's status and the times.
func (c *core) putEntry(s *session, e Entry) error {
	if s.gone.Load() {
		return errNotConnected
	}
	if s.entries == nil {
		s.entries = make(map[EntryKey]Entry, 1)
	}
	e.Status, e.StatusAt = s.status, s.statusAt
	if e.List == Online {
		c.setTimes(&e, s.key)
		s.registered.Store(true)
	}
	s.entries[e.EntryKey] = c.put(e)
	return nil
}

// removeEntry takes one of a session's entries away, and reports whether there was one.
func (c *core) removeEntry(s *session, key EntryKey, reason Reason) bool {
	if _, ok := s.entries[key]; !ok {
		return false
	}
	delete(s.entries, key)
	if key.List == Online {
		s.registered.Store(false)
	}
	c.remove(key, reason)
	return true
}

// setTimes gives an entry of Online its times: a further socket takes the user's
// time of joining, and a user who becomes visible again joins now. In strict mode
// each socket has a time of its own.
func (c *core) setTimes(e *Entry, key userKey) {
	now := c.store.Now()
	if u := c.online.users[key]; u != nil {
		e.VisibleAt = u.status.visibleAt
		switch {
		case u.listed && !c.options.Strict && (e.JoinedAt == 0 || e.JoinedAt > u.rank.at):
			e.JoinedAt = u.rank.at
		case !u.listed && e.Status != Hidden && e.StatusAt > u.status.at:
			e.VisibleAt = now
		}
	}
	e.JoinedAt = max(cmp.Or(e.JoinedAt, now), e.VisibleAt) // does not show that the user was there, hidden
}

// registrationTime is that of a registration now: later than every known one of
// the user, whatever the clocks.
func (c *core) registrationTime(key userKey) int64 {
	now := c.store.Now()
	if u := c.online.users[key]; u != nil {
		return max(now, registration(u.sockets[len(u.sockets)-1].entry).at+1)
	}
	return now
}
