package rooms

import (
	"encoding/json"
	"sync/atomic"
	"time"
)

// A session is one connected socket of this instance.
type session struct {
	service      *Rooms
	id, clientID string // see Conn
	conn         Conn
	subscription subscription
	// wantsObject: gets updateOnlineUsers with each list.
	wantsIDs bool
	// tokenKey is who a token says this is; guest: there is no good token. Neither,
	// if clients are trusted.
	tokenKey userKey
	guest    bool
	// address is the client's.
	address string

	// activeAt is when the client last sent something, touchedAt when the
	// store was last told so (epoch milliseconds). away mirrors status, so that
	// an event of somebody active costs no lock.
	activeAt, touchedAt atomic.Int64
	away                atomic.Bool

	// gone: it was disconnected or signed out; hasUser: it is registered. Rooms.mu is
	// held when these change.
	gone, hasUser atomic.Bool

	// All below is guarded by Rooms.mu.

	// rooms are those the session is in, but for its own; membership changes
	// them.
	rooms map[string]struct{}
	// userRoom is the one of them that is its user's, or its token's while it is
	// not registered; "" if there is none.
	userRoom string

	// These belong to the flush.

	// following: a changes subscriber that had its snapshot.
	hasSnapshot bool
	// owedSnapshot: gets the whole list at the next boundary of deltas.
	needsSnapshot bool
	// owedList: gets the list with the next flush of lists, changed or not.
	needsList bool
	// owedCount: gets the count at the next boundary, changed or not.
	needsCount bool

	// entries are the session's entries of the user online and of chat rooms.
	entries map[EntryKey]Entry
	key     userKey // of the registered user
	// token is the user of the token, nil without one: its fields are fixed. Only
	// the session's own events change it.
	token json.RawMessage
	// initial is the status that the session starts with: see start.
	initial Status
	// status and when it was chosen; of who is not registered, for the user to
	// come.
	status   Status
	statusAt int64
	// stages and races are those that the session takes part in; watched may be
	// either. elements counts what it has put there, for the keys.
	stages, races, watched recentLists
	lastMember             int
	// expiry warns of, and then brings, the end of the token, which is at
	// expires.
	expiry  *time.Timer
	expires time.Time
}

var errNotConnected = &Refusal{"not_connected", "The socket is not connected."}

func (s *session) onlineKey() EntryKey { return EntryKey{Online, s.id} }

// registered reports whether the session has a user.
func (s *session) registered() bool { return s.hasUser.Load() }

// putEntry sets one of a session's entries, with the session's status. r.mu is held.
func (r *Rooms) putEntry(s *session, e Entry) error {
	if s.gone.Load() {
		return errNotConnected
	}
	e.Status, e.StatusAt = s.status, s.statusAt
	if s.entries == nil {
		s.entries = make(map[EntryKey]Entry, 1)
	}
	s.entries[e.EntryKey] = r.put(e)
	if e.List == Online {
		s.hasUser.Store(true)
	}
	return nil
}

// removeEntry takes one of a session's entries away, and reports whether it was
// there. r.mu is held.
func (r *Rooms) removeEntry(s *session, place EntryKey, reason Reason) bool {
	_, ok := s.entries[place]
	if ok {
		delete(s.entries, place)
		if place.List == Online {
			s.hasUser.Store(false)
		}
		r.remove(place, reason)
	}
	return ok
}
