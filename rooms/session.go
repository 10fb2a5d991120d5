package rooms

import "sync"

// A session is one connected socket of this instance.
type session struct {
	id           string
	conn         Conn
	subscription subscription

	// These are guarded by Rooms.mu.

	// rooms are those the session is in, but for its own; membership changes
	// them.
	rooms map[string]struct{}
	// userRoom is the one of them that is its user's, "" if there is none.
	userRoom string

	// These are guarded by Rooms.mu and belong to the flush.

	// following: a changes subscriber that had its snapshot.
	following bool
	// owedSnapshot: gets the whole list at the next boundary of increments.
	owedSnapshot bool
	// owedList: gets the list with the next flush of lists, changed or not.
	owedList bool
	// owedCount: gets the count at the next boundary, changed or not.
	owedCount bool

	// mu guards the fields below and is held while the store is called, which
	// does not wait: so a disconnect in one goroutine and a register in
	// another cannot cross and leave an entry without a socket behind.
	mu         sync.Mutex
	registered bool
	key        userKey // of the registered user
	gone       bool
}

var errNotConnected = &Refusal{"not_connected", "The socket is not connected."}

// put sets the session's entry.
func (s *session) put(store Store, key userKey, e Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return errNotConnected
	}
	s.registered, s.key = true, key
	store.Put(e)
	return nil
}

// remove takes the session's entry away, if there is one.
func (s *session) remove(store Store, reason Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(store, reason)
}

// leave is the last that happens to a session.
func (s *session) leave(store Store, reason Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.removeLocked(store, reason)
}

// retire is leave, but for the entry: it stays, and whose it is is returned.
func (s *session) retire() (key userKey, registered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, registered = s.key, s.registered
	s.gone, s.registered = true, false
	return key, registered
}

func (s *session) removeLocked(store Store, reason Reason) {
	if s.registered {
		s.registered = false
		store.Remove(Place{Key: s.id}, reason)
	}
}
