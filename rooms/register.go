package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// users is registering: a session that has registered a user has an entry in Online.
type users struct {
	*core
	statuses *statuses
	racing   *racing
}

// register puts the session's entry: a new one, or in place of the one before.
func (u *users) register(s *session, args []json.RawMessage) (map[string]any, error) {
	if len(args) == 0 {
		return nil, badUser("register needs an argument: the user, a JSON object.")
	}
	if err := u.checkSize(args[0]); err != nil {
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
		err = u.checkSize(user)
	}
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.gone.Load() {
		return nil, errNotConnected
	}
	u.statuses.adoptUserStatus(s, key)
	before := s.key
	s.key = key
	if err := u.putUser(s, bytes.Clone(user)); err != nil { // not the whole message it lies in
		return nil, err
	}
	u.requestList(s)
	if !key.anonymous && !u.options.Strict { // there it would be one list more
		u.racing.claimMembers(s)
	}
	if before != key { // that was signing out
		u.release(Entry{EntryKey: s.onlineKey()}, before, SignedOut)
	}
	u.sessions.moveToUserRoom(s, key)
	if status, at := u.online.chosenStatus(key); at > 0 {
		u.statuses.share(key, status, at)
	}
	for _, e := range s.entries { // after the new entry: the user was never away
		u.markReturned(e, key)
	}
	u.outbox.wakeUp()
	return nil, nil
}

// putUser puts the entry of a registration. In strict mode a socket keeps its place.
func (u *users) putUser(s *session, data json.RawMessage) error {
	e := Entry{EntryKey: s.onlineKey(), Instance: u.options.Instance, UserID: s.key.id, Data: data}
	if u.options.Strict {
		e.JoinedAt = s.entries[e.EntryKey].JoinedAt
	}
	e.RegisteredAt = u.registrationTime(s.key)
	return u.putEntry(s, e)
}

// requestList has a session get a list because it has registered, even if the list is
// the same (a second socket). In strict mode apply queues one for all sessions.
func (u *users) requestList(s *session) {
	switch {
	case s.subscription == changesOnly:
		s.needsSnapshotNow, u.pending.now = true, true
	case s.takesSnapshots() && !u.options.Strict:
		s.needsSnapshot, u.pending.snapshots = true, true
	}
}

// unregister signs out without disconnecting. Without an entry there is nothing to do.
func (u *users) unregister(s *session, _ []json.RawMessage) (map[string]any, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.recordLastActive(s)
	u.removeEntry(s, s.onlineKey(), SignedOut)
	key, status := s.key, s.status
	s.key = userKey{}
	s.setStatus(u.statuses.initial(s))
	u.statuses.syncVisibility(s, status)
	u.release(Entry{EntryKey: s.onlineKey()}, key, SignedOut)
	u.sessions.moveToUserRoom(s, userKey{})
	return nil, nil
}

// sync asks for a snapshot, whatever the session subscribed to.
func (u *users) sync(s *session, _ []json.RawMessage) (map[string]any, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s.needsSnapshotNow, u.pending.now = true, true
	u.outbox.wakeUp()
	return nil, nil
}

// checkSize returns a Refusal with code user_too_large for a user over the limit.
func (u *users) checkSize(user json.RawMessage) error {
	if size := len(user); size > u.options.MaxUser {
		return &Refusal{"user_too_large", fmt.Sprintf("The user object has %d bytes; the limit is %d.", size, u.options.MaxUser)}
	}
	return nil
}
