package rooms

import "time"

// maxHeld bounds the entries that are held at a time. One more is removed at
// once, and counted.
const maxHeld = 100_000

// leaving holds the entries of sockets that are gone and whose users may be
// back in a moment: a page that reloads, a client that moves to another
// instance. An entry stays in the shared map for the grace, with its time of
// joining, so that nobody anywhere sees the user leave and the place is kept.
// When its holder is back on this instance, or the grace is over, it is removed.
//
// Rooms.mu guards it.
type leaving struct {
	most    int    // as maxHeld; set by tests
	unheld  uint64 // entries that were over the bound
	held    map[EntryKey]held
	holders map[holder]map[EntryKey]bool
	ended   bool
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

// held is one entry whose socket is gone.
type held struct {
	holder holder
	timer  *time.Timer
}

func newLeaving() leaving {
	return leaving{most: maxHeld, held: make(map[EntryKey]held), holders: make(map[holder]map[EntryKey]bool)}
}

// hold keeps an entry for the grace, and reports whether it does: the caller
// removes the others. r.mu is held.
func (r *Rooms) hold(e Entry, user userKey, reason Reason) bool {
	l := &r.leaving
	h, known := holderOf(e, user)
	switch {
	case !known || r.options.Grace <= 0:
		return false
	case l.ended:
		return true // the process ends: the entry is left to whoever comes after
	case len(l.held) >= l.most:
		l.unheld++
		return false
	}
	place := e.EntryKey
	var timer *time.Timer
	timer = time.AfterFunc(r.options.Grace, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if l.held[place].timer == timer {
			l.letGo(place)
			r.remove(place, reason)
		}
	})
	l.held[place] = held{h, timer}
	if l.holders[h] == nil {
		l.holders[h] = make(map[EntryKey]bool, 1)
	}
	l.holders[h][place] = true
	return true
}

// letGo forgets an entry, if it is held.
func (l *leaving) letGo(place EntryKey) {
	h, ok := l.held[place]
	if !ok {
		return
	}
	h.timer.Stop()
	delete(l.held, place)
	delete(l.holders[h.holder], place)
	if len(l.holders[h.holder]) == 0 {
		delete(l.holders, h.holder)
	}
}

// back tells that an entry was put whose holder is back: what else is held of
// the holder is removed, so that a page reloaded again and again holds one entry
// at most. The entry itself may have been held too (a 2.x client that left the
// namespace comes back under its old id): it is a new one. r.mu is held.
func (r *Rooms) back(e Entry, user userKey) {
	r.leaving.letGo(e.EntryKey)
	r.release(e, user, Closed)
}

// release removes what is held of an entry's holder, now and for another reason.
// r.mu is held.
func (r *Rooms) release(e Entry, user userKey, reason Reason) {
	if h, known := holderOf(e, user); known {
		for place := range r.leaving.holders[h] {
			r.leaving.letGo(place)
			r.remove(place, reason)
		}
	}
}

// releaseUser removes all that is held of a user with an id, in every list. r.mu is
// held.
func (r *Rooms) releaseUser(user userKey, reason Reason) {
	for place, h := range r.leaving.held {
		if h.holder.user == user {
			r.leaving.letGo(place)
			r.remove(place, reason)
		}
	}
}

// end forgets everything that is held without removing it.
func (l *leaving) end() {
	l.ended = true
	for place := range l.held {
		l.letGo(place)
	}
}

// Unheld is how many entries were removed at once because too many were held for
// the grace.
func (r *Rooms) Unheld() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaving.unheld
}
