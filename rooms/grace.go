package rooms

import "time"

// maxGraceEntries bounds the entries that are held at a time. One more is removed at
// once, and counted.
const maxGraceEntries = 100_000

// graceEntries holds the entries of sockets that are gone and whose users may be
// back in a moment: a page that reloads, a client that moves to another
// instance. An entry stays in the shared map for the grace, with its time of
// joining, so that nobody anywhere sees the user leave and the place is kept.
// When its holder is back on this instance, or the grace is over, it is removed.
//
// Rooms.mu guards it.
type graceEntries struct {
	limit    int    // as maxHeld; set by tests
	unheld   uint64 // entries that were over the bound
	byKey    map[EntryKey]graceEntry
	byHolder map[holder]map[EntryKey]bool
	closed   bool
}

// A holder is who may come back for an entry in one list: a user with an id, or
// in a chat room somebody without, who is known by name there.
type holder struct {
	list string
	user userKey
	name string // the username as JSON
}

// holderOf is who may come back for an entry of a session that has this user;
// false: nobody, since a user without an id is known by the socket only.
func holderOf(e Entry, user userKey) (holder, bool) {
	switch {
	case user.id != "" && !user.anonymous:
		return holder{list: e.List, user: user}, true
	case isRoom(e.List):
		return holder{list: e.List, name: string(e.Data)}, true
	}
	return holder{}, false
}

// graceEntry is one entry whose socket is gone.
type graceEntry struct {
	holder holder
	timer  *time.Timer
}

func newGraceEntries() graceEntries {
	return graceEntries{limit: maxGraceEntries, byKey: make(map[EntryKey]graceEntry), byHolder: make(map[holder]map[EntryKey]bool)}
}

// hold keeps an entry for the grace, and reports whether it does: the caller
// removes the others. r.mu is held.
func (r *Rooms) hold(e Entry, user userKey, reason Reason) bool {
	l := &r.grace
	h, known := holderOf(e, user)
	switch {
	case !known || r.options.Grace <= 0:
		return false
	case l.closed:
		return true // the process ends: the entry is left to whoever comes after
	case len(l.byKey) >= l.limit:
		l.unheld++
		return false
	}
	place := e.EntryKey
	var timer *time.Timer
	timer = time.AfterFunc(r.options.Grace, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if l.byKey[place].timer == timer {
			l.forget(place)
			r.remove(place, reason)
		}
	})
	l.byKey[place] = graceEntry{h, timer}
	if l.byHolder[h] == nil {
		l.byHolder[h] = make(map[EntryKey]bool, 1)
	}
	l.byHolder[h][place] = true
	return true
}

// forget forgets an entry, if it is held.
func (l *graceEntries) forget(place EntryKey) {
	h, ok := l.byKey[place]
	if !ok {
		return
	}
	h.timer.Stop()
	delete(l.byKey, place)
	delete(l.byHolder[h.holder], place)
	if len(l.byHolder[h.holder]) == 0 {
		delete(l.byHolder, h.holder)
	}
}

// markReturned tells that an entry was put whose holder is back: what else is held of
// the holder is removed, so that a page reloaded again and again holds one entry
// at most. The entry itself may have been held too (a 2.x client that left the
// namespace comes back under its old id): it is a new one. r.mu is held.
func (r *Rooms) markReturned(e Entry, user userKey) {
	r.grace.forget(e.EntryKey)
	r.release(e, user, Closed)
}

// release removes what is held of an entry's holder, now and for another reason.
// r.mu is held.
func (r *Rooms) release(e Entry, user userKey, reason Reason) {
	if h, known := holderOf(e, user); known {
		for place := range r.grace.byHolder[h] {
			r.grace.forget(place)
			r.remove(place, reason)
		}
	}
}

// releaseUser removes all that is held of a user with an id, in every list. r.mu is
// held.
func (r *Rooms) releaseUser(user userKey, reason Reason) {
	for place, h := range r.grace.byKey {
		if h.holder.user == user {
			r.grace.forget(place)
			r.remove(place, reason)
		}
	}
}

// close forgets everything that is held without removing it.
func (l *graceEntries) close() {
	l.closed = true
	for place := range l.byKey {
		l.forget(place)
	}
}

// Unheld is how many entries were removed at once because too many were held for
// the grace.
func (r *Rooms) Unheld() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.grace.unheld
}
