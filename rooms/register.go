package rooms

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// register puts the session's entry: a new one, or in place of the one before.
func (r *Rooms) register(s *session, args []json.RawMessage) (map[string]any, error) {
	if len(args) == 0 {
		return nil, badUser("register needs an argument: the user, a JSON object.")
	}
	if err := r.checkSize(args[0]); err != nil {
		return nil, err
	}
	key, err := identify(args[0], s.id)
	if err != nil {
		return nil, err
	}
	if err := s.may(key); err != nil {
		return nil, err
	}
	user, err := withToken(s.tokenUser(), args[0])
	if err == nil {
		err = r.checkSize(user)
	}
	if err != nil {
		return nil, err
	}
	r.oweList(s)
	s.mu.Lock()
	r.takeStatusLocked(s, key)
	before := s.key
	s.key = key
	err = r.putUserLocked(s, key, bytes.Clone(user))       // not the whole message it lies in
	if err == nil && !key.anonymous && !r.options.Strict { // there it would be one update more
		r.ownLocked(s)
	}
	entries := slices.Collect(maps.Values(s.places))
	s.mu.Unlock()
	if before != key { // that was signing out
		r.leaving.release(Entry{Place: s.online()}, before, SignedOut)
	}
	if err == nil {
		r.oweSnapshot(s)
		r.enterUserRoom(s, key)
		// A choice that was made while the room was entered.
		if status, at := r.chosen(key); at > 0 && !key.anonymous {
			r.spread(key, status, at)
		}
		if !key.anonymous && !r.hides(key) {
			r.store.Touch(key.id, time.Now().UnixMilli())
		}
	}
	for _, e := range entries { // after the new entry: the user was never away
		r.leaving.back(e, key)
	}
	r.wakeUp()
	return nil, err
}

// putUserLocked puts the entry of a registration. In strict mode a socket keeps
// its place, whoever it is. s.mu is held.
func (r *Rooms) putUserLocked(s *session, key userKey, data json.RawMessage) error {
	e := Entry{Place: s.online(), Instance: r.options.Instance, UserID: key.id, Data: data}
	if r.options.Strict {
		e.JoinedAt = s.places[e.Place].JoinedAt
	}
	return s.putLocked(r.store, e, func(e *Entry) {
		e.RegisteredAt = r.registeredAt(key)
		r.setTimes(e, key)
	})
}

// putAgainLocked puts the entry of a session's user, if there is one, with the
// session's status. s.mu is held.
func (r *Rooms) putAgainLocked(s *session) {
	if e, ok := s.places[s.online()]; ok {
		_ = s.putLocked(r.store, e, func(e *Entry) { r.setTimes(e, s.key) })
	}
}

// takeStatusLocked gives a session the status of the user it registers, before
// anybody can see it. A choice made before it registered is the latest; else
// that of the user's other tabs counts, but that registering is being active.
// s.mu is held.
func (r *Rooms) takeStatusLocked(s *session, key userKey) {
	if s.registered() && s.key == key {
		return
	}
	status, at := s.status, s.statusAt
	if s.registered() { // that choice was somebody else's
		if status, at = s.initial, 0; status == Hidden {
			at = r.store.Now() / 1000
		}
	}
	if theirs, since := r.chosen(key); since > at {
		status, at = theirs, since
		if status == Away {
			status, at = Active, max(r.store.Now()/1000, since+1)
		}
	}
	if status == Hidden || s.status == Hidden {
		s.removeLocked(r.store, s.online(), SignedOut) // never the one with the other's status
	}
	before := s.status
	s.stateLocked(status, at)
	r.restateLocked(s, before)
}

// unregister signs out without leaving. Without an entry there is nothing to do.
func (r *Rooms) unregister(s *session, _ []json.RawMessage) (map[string]any, error) {
	s.mu.Lock()
	r.noteLastLocked(s)
	s.removeLocked(r.store, s.online(), SignedOut)
	key := s.key
	s.key = userKey{}
	before := s.status
	r.startLocked(s)
	r.restateLocked(s, before)
	s.mu.Unlock()
	r.leaving.release(Entry{Place: s.online()}, key, SignedOut)
	r.enterUserRoom(s, userKey{})
	return nil, nil
}

// sync asks for the whole list, whatever the session subscribed to.
func (r *Rooms) sync(s *session, _ []json.RawMessage) (map[string]any, error) {
	r.mu.Lock()
	s.owedSnapshot, r.pending.snapshots = true, true
	r.mu.Unlock()
	r.wakeUp()
	return nil, nil
}

// oweList notes that a subscriber of lists gets one because it registers, even if
// that does not change the list (a second tab). It is called before the entry is
// put: a flush in between then sends a list that the change follows. The other way
// round it would send the list twice. In strict mode every register is a list for
// everybody.
func (r *Rooms) oweList(s *session) {
	if !s.takesLists() || r.options.Strict {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.owedList, r.pending.lists = true, true
}

// oweSnapshot notes that a subscriber of changes gets the list because it has
// registered. It is called when the entry has been put, so that the list has it.
func (r *Rooms) oweSnapshot(s *session) {
	if s.subscription != changesOnly {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.owedSnapshot, r.pending.snapshots = true, true
}
