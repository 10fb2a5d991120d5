package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// register puts the session's entry: a new one, or in place of the one before.
func (r *Rooms) register(s *session, args []json.RawMessage) (map[string]any, error) {
	if len(args) == 0 {
		return nil, badUser("register needs an argument: the user, a JSON object.")
	}
	if size := len(args[0]); size > r.options.MaxUser {
		return nil, &Refusal{"user_too_large", fmt.Sprintf(
			"The user object has %d bytes; the limit is %d.", size, r.options.MaxUser)}
	}
	key, err := identify(args[0], s.id)
	if err != nil {
		return nil, err
	}
	// Owed before the entry is put: a flush in between then sends a list that
	// the change follows. The other way round it would send the list twice.
	r.oweAfterRegister(s)
	err = s.put(r.store, key, Entry{
		Place:    Place{Key: s.id},
		Instance: r.options.Instance,
		UserID:   key.id,
		Data:     bytes.Clone(args[0]), // not the whole message it lies in
		JoinedAt: r.joinedAt(key),
	})
	if err == nil {
		r.enterUserRoom(s, key)
	}
	r.leaving.back(key, s.id) // after the new entry: the user was never away
	r.wakeUp()
	return nil, err
}

// unregister signs out without leaving. Without an entry there is nothing to do.
func (r *Rooms) unregister(s *session, _ []json.RawMessage) (map[string]any, error) {
	s.remove(r.store, SignedOut)
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

// oweAfterRegister notes what a session gets because it registered, even if
// that does not change the list (a second tab).
func (r *Rooms) oweAfterRegister(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s.subscription {
	case both, listOnly:
		s.owedList, r.pending.lists = true, true
	case changesOnly:
		s.owedSnapshot, r.pending.snapshots = true, true
	}
}
