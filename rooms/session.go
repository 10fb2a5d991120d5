package rooms

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
)

// A session is one connected socket of this instance.
type session struct {
	service      *Rooms
	id, clientID string // see Conn
	conn         Conn
	address      string // of the client
	subscription subscription
	wantsIDs     bool // gets updateOnlineUsers with each snapshot

	tokenKey userKey // the user of the token
	guest    bool    // accepted without a valid token

	// activeAt is when the client last sent something, touchedAt when the store was last
	// told (epoch milliseconds). away spares events of active users the lock.
	activeAt, touchedAt atomic.Int64
	away                atomic.Bool

	gone       atomic.Bool // disconnected or signed out; core.mu is held when it is set
	registered atomic.Bool // has a user; likewise

	// core.mu guards all below.

	// rooms are those that the session is in, but for its own; sessions changes them.
	// userRoom is the one of its user or token, "" if there is none.
	rooms    map[string]struct{}
	userRoom string

	skipsHidden      bool // connected while removals waited for the next flush
	hasSnapshot      bool // of a changes subscriber
	needsSnapshotNow bool // with the next flush
	needsSnapshot    bool // with the next flush of snapshots, changed or not
	needsCount       bool // with the next flush, changed or not

	// entries are those in Online and in chat rooms.
	entries map[EntryKey]Entry
	key     userKey // of the registered user
	// token is the token's user object, or nil. Only the session's own events change it.
	token json.RawMessage
	// initial is the status that the session starts with. status, and when it was
	// chosen, are those of now; without a registered user, of the user to come.
	initial, status Status
	statusAt        int64
	// stages and races are those that the session takes part in; watched may be
	// either. lastMember numbers what it has put there, for the keys.
	stages, races, watched recentLists
	lastMember             int
	// expiry warns of, and then brings, the end of the token, which is at expires.
	expiry  *time.Timer
	expires time.Time
}

var (
	errNotConnected = &Refusal{"not_connected", "The socket is not connected."}
	errBinary       = &Refusal{"binary_not_supported", "Events carry JSON only."}
)

func (s *session) onlineKey() EntryKey { return EntryKey{Online, s.id} }

// takesSnapshots reports whether the session gets every snapshot.
func (s *session) takesSnapshots() bool { return s.subscription == both || s.subscription == listOnly }

func (s *session) setStatus(status Status, at int64) {
	s.status, s.statusAt = status, at
	s.away.Store(status == Away)
}

// Handle implements Session. It returns a Refusal with code unknown_event for an event
// that is none of Events, with binary_not_supported for one with attachments, and with
// not_connected if the socket is gone.
func (s *session) Handle(event string, args []json.RawMessage, attachments [][]byte) (map[string]any, error) {
	if len(attachments) > 0 {
		return nil, errBinary
	}
	r := s.service
	handle := r.handlers[event]
	if handle == nil {
		handle, _ = r.namedEvent(event)
	}
	if handle == nil {
		return nil, &Refusal{"unknown_event", fmt.Sprintf("There is no event %.64q.", event)}
	}
	if s.gone.Load() {
		return nil, errNotConnected
	}
	if !passive[event] {
		r.statuses.markActive(s)
	}
	before := r.outbox.addedCount.Load()
	reply, err := handle(s, args)
	// The events that a call causes come before its acknowledgement, and nothing of a
	// room comes after that of leave.
	if event == "leave" || r.outbox.addedCount.Load() != before {
		r.awaitSent()
	}
	r.awaitRoom()
	return reply, err
}

// Disconnect implements Session: it removes the socket's entries. It may be called twice.
func (s *session) Disconnect(reason Reason) {
	r := s.service
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions.byID[s.id] != s {
		return
	}
	s.gone.Store(true)
	s.stopExpiryTimer()
	key, registered := s.key, s.registered.Load()
	r.recordLastActive(s)
	for entryKey, e := range s.entries {
		if r.handingOver { // entries of users who may return stay in the store
			if _, mayReturn := holderOf(e, key); mayReturn {
				continue
			}
		} else if r.hold(e, key, reason) {
			continue
		}
		r.removeEntry(s, entryKey, reason)
	}
	clear(s.entries)
	s.registered.Store(false)
	if !r.handingOver {
		for _, list := range s.stages {
			r.racing.leave(s, list)
		}
	}
	r.sessions.remove(s)
	if !registered && r.options.Strict { // as Node does
		r.queueStrictList(func(*session) bool { return true })
	}
}
