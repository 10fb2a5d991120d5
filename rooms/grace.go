package rooms

import "time"

// maxHeld bounds the entries that are held. One more is removed at once, and counted.
const maxHeld = 100_000

// grace holds the entries of sockets that disconnected and whose users may be back in
// a moment: a page that reloads, a client that moves to another instance. An entry
// stays in the shared state for the grace period, with its time of joining, so that
// no client sees the user leave and the place is kept. When its holder is back on this
// instance, or the period is over, it is removed. core.mu guards it.
type grace struct {
	limit    int    // maxHeld; set by tests
	unheld   uint64 // entries that were over the limit
	byKey    map[EntryKey]heldEntry
	byHolder map[holder]map[EntryKey]bool
	closed   bool
}

// A holder is the user who may come back for an entry in one list: one with an id, or
// in a chat room one without, who is known by name there.
type holder struct {
	list string
	user userKey
	name string // the username as JSON
}

// holderOf returns the holder of an entry of a session that has this user; false:
// there is none, since a user without an id is known by the socket only.
func holderOf(e Entry, user userKey) (holder, bool) {
	switch {
	case user.hasID():
		return holder{list: e.List, user: user}, true
	case isRoom(e.List):
		return holder{list: e.List, name: string(e.Data)}, true
	}
	return holder{}, false
}

// A heldEntry is one whose socket is gone.
type heldEntry struct {
	holder holder
	timer  *time.Timer
}

func newGrace() grace {
	return grace{limit: maxHeld, byKey: make(map[EntryKey]heldEntry), byHolder: make(map[holder]map[EntryKey]bool)}
}

// forget ends the grace period of an entry, if it is held.
func (g *grace) forget(key EntryKey) {
	held, ok := g.byKey[key]
	if !ok {
		return
	}
	held.timer.Stop()
	delete(g.byKey, key)
	delete(g.byHolder[held.holder], key)
	if len(g.byHolder[held.holder]) == 0 {
		delete(g.byHolder, held.holder)
	}
}

// close forgets all that is held without removing it: the process ends, and the store
// keeps it for the next instance.
func (g *grace) close() {
	g.closed = true
	for key := range g.byKey {
		g.forget(key)
	}
}

// hold keeps an entry for the grace period, and reports whether it does.
func (c *core) hold(e Entry, user userKey, reason Reason) bool {
	g := &c.grace
	h, known := holderOf(e, user)
	switch {
	case !known || c.options.Grace <= 0:
		return false
	case g.closed:
		return true
	case len(g.byKey) >= g.limit:
		g.unheld++
		return false
	}
	key := e.EntryKey
	var timer *time.Timer
	timer = time.AfterFunc(c.options.Grace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if g.byKey[key].timer == timer {
			c.endGrace(key, reason)
		}
	})
	g.byKey[key] = heldEntry{h, timer}
	if g.byHolder[h] == nil {
		g.byHolder[h] = make(map[EntryKey]bool, 1)
	}
	g.byHolder[h][key] = true
	return true
}

func (c *core) endGrace(key EntryKey, reason Reason) {
	c.grace.forget(key)
	c.remove(key, reason)
}

// markReturned tells that an entry was put whose holder is back: what else is held of
// the holder is removed, so that a page reloaded again and again holds one entry at
// most. The entry itself may have been held too (a 2.x client that left the namespace
// comes back under its old id): it is a new one.
func (c *core) markReturned(e Entry, user userKey) {
	c.grace.forget(e.EntryKey)
	c.release(e, user, Closed)
}

// release removes what is held of an entry's holder, now and for another reason.
func (c *core) release(e Entry, user userKey, reason Reason) {
	if h, known := holderOf(e, user); known {
		for key := range c.grace.byHolder[h] {
			c.endGrace(key, reason)
		}
	}
}

// releaseUser removes all that is held of a user with an id, in every list.
func (c *core) releaseUser(user userKey, reason Reason) {
	for key, held := range c.grace.byKey {
		if held.holder.user == user {
			c.endGrace(key, reason)
		}
	}
}

// Unheld is how many entries were removed at once because too many were held.
func (r *Rooms) Unheld() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.grace.unheld
}
