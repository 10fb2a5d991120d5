package rooms

import (
	"bytes"
	"encoding/json"
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
	if err := s.checkUser(key); err != nil {
		return nil, err
	}
	user, err := withToken(s.token, args[0])
	if err == nil {
		err = r.checkSize(user)
	}
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.gone.Load() {
		return nil, errNotConnected
	}
	r.adoptUserStatus(s, key)
	before := s.key
	s.key = key
	if err := r.putUser(s, key, bytes.Clone(user)); err != nil { // not the whole message it lies in
		return nil, err
	}
	r.requestListAfterRegister(s)
	if !key.anonymous && !r.options.Strict { // there it would be one update more
		r.claimMembers(s)
	}
	if before != key { // that was signing out
		r.release(Entry{EntryKey: s.onlineKey()}, before, SignedOut)
	}
	r.enterUserRoom(s, key)
	if status, at := r.chosen(key); at > 0 && !key.anonymous {
		r.shareStatus(key, status, at)
	}
	for _, e := range s.entries { // after the new entry: the user was never away
		r.markReturned(e, key)
	}
	r.wakeUp()
	return nil, nil
}

// putUser puts the entry of a registration. In strict mode a socket keeps its
// place, whichever user it is. r.mu is held.
func (r *Rooms) putUser(s *session, key userKey, data json.RawMessage) error {
	e := Entry{EntryKey: s.onlineKey(), Instance: r.options.Instance, UserID: key.id, Data: data}
	if r.options.Strict {
		e.JoinedAt = s.entries[e.EntryKey].JoinedAt
	}
	e.Status, e.StatusAt = s.status, s.statusAt
	e.RegisteredAt = r.registeredAt(key)
	r.setTimes(&e, key)
	return r.putEntry(s, e)
}

// updateUser puts the entry of a session's user, if there is one, with the session's
// status. r.mu is held.
func (r *Rooms) updateUser(s *session) {
	if e, ok := s.entries[s.onlineKey()]; ok {
		e.Status, e.StatusAt = s.status, s.statusAt
		r.setTimes(&e, s.key)
		_ = r.putEntry(s, e)
	}
}

// adoptUserStatus gives a session the status of the user it registers, before anybody
// can see it. A choice made before it registered is the latest, which the user's
// other sockets adopt; else that of the other sockets counts, but that registering is
// being active. r.mu is held.
func (r *Rooms) adoptUserStatus(s *session, key userKey) {
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
		r.removeEntry(s, s.onlineKey(), SignedOut) // never the one with the other's status
	}
	before := s.status
	s.setStatus(status, at)
	r.syncVisibility(s, before)
}

// unregister signs out without leaving. Without an entry there is nothing to do.
func (r *Rooms) unregister(s *session, _ []json.RawMessage) (map[string]any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recordLastActive(s)
	r.removeEntry(s, s.onlineKey(), SignedOut)
	key := s.key
	s.key = userKey{}
	before := s.status
	r.resetStatus(s)
	r.syncVisibility(s, before)
	r.release(Entry{EntryKey: s.onlineKey()}, key, SignedOut)
	r.enterUserRoom(s, userKey{})
	return nil, nil
}

// sync asks for the whole list, whatever the session subscribed to.
func (r *Rooms) sync(s *session, _ []json.RawMessage) (map[string]any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.needsSnapshot, r.pending.snapshots = true, true
	r.wakeUp()
	return nil, nil
}

// requestListAfterRegister notes that a session gets a list because it has registered, even
// if that does not change the list (a second socket). In strict mode every register is
// a list for everybody. r.mu is held.
func (r *Rooms) requestListAfterRegister(s *session) {
	switch {
	case s.subscription == changesOnly:
		s.needsSnapshot, r.pending.snapshots = true, true
	case s.takesLists() && !r.options.Strict:
		s.needsList, r.pending.lists = true, true
	}
}
