package rooms

import (
	"encoding/json"
	"fmt"
	"time"
)

// This file is how sockets come and go.

// Connect takes a socket, before any of its events. Whose user is known from the
// handshake is registered. It returns a Refusal with code bad_presence if the
// handshake asks for an unknown subscription, with code bad_status for an
// unknown status, with code unauthorized if it lacks a good token, and those of
// register; then the socket is not taken.
func (r *Rooms) Connect(c Conn, h Handshake) (Session, error) {
	subscription, err := subscriptionOf(h)
	if err != nil {
		return nil, err
	}
	wanted, err := statusOfHandshake(h)
	if err != nil {
		return nil, err
	}
	who, err := r.authenticate(h)
	if err != nil {
		return nil, err
	}
	s := &session{
		service: r, id: c.ID(), clientID: c.ClientID(), conn: c, subscription: subscription,
		tokenKey: who.tokenKey, token: who.token(), guest: who.guest, wantsIDs: h.Query.Get("userId") != "",
		address: h.Address,
		initial: startStatus(wanted, who.status),
	}
	s.activeAt.Store(time.Now().UnixMilli())
	if !r.addSession(s) {
		return nil, fmt.Errorf("connect: socket id %q is connected already", s.id)
	}
	if who.tokenKey != (userKey{}) {
		// From here on a sign-out finds the session. An earlier one may have
		// revoked the token since it was checked.
		if again, err := r.authenticate(h); err != nil || again.tokenKey != who.tokenKey {
			s.Disconnect(Closed)
			return nil, errUnauthorized
		}
	}
	if who.user == nil {
		return s, nil
	}
	if _, err := r.register(s, []json.RawMessage{who.user}); err != nil {
		s.Disconnect(Closed)
		return nil, err
	}
	r.expireAt(s, who.expires)
	return s, nil
}

// addSession takes a new session among the others, unless one has its id already.
func (r *Rooms) addSession(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.id] != nil {
		return false
	}
	r.resetStatus(s)
	r.sessions[s.id] = s
	r.enterUserRoom(s, userKey{})
	if s.clientID != s.id {
		r.aliases[s.clientID] = s
	}
	if s.subscription == countOnly {
		s.needsCount, r.pending.counts = true, true
		r.wakeUp()
	}
	return true
}

// Disconnect lets go of a socket and removes its entries, for the given reason. A
// second call does nothing.
func (s *session) Disconnect(reason Reason) {
	r := s.service
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.id] != s {
		return
	}
	s.gone.Store(true)
	s.stopExpiryTimer()
	key, registered := s.key, s.registered()
	r.recordLastActive(s)
	for place, e := range s.entries {
		// Handing over, the entries are left to whoever comes after this instance.
		_, mayReturn := holderOf(e, key)
		if r.handingOver && !mayReturn || !r.handingOver && !r.hold(e, key, reason) {
			r.removeEntry(s, place, reason)
		}
	}
	clear(s.entries)
	s.hasUser.Store(false)
	if !r.handingOver {
		for _, list := range s.stages {
			r.leaveList(s, list)
		}
	}
	delete(r.sessions, s.id)
	delete(r.aliases, s.clientID)
	r.membership.leaveAll(s)
	if !registered && r.options.Strict { // as Node does
		r.queueStrictList(func(*session) bool { return true })
	}
}

// HandOver is called when this instance is about to end: from here on the
// entries of sockets that go stay in the store, so that nobody is seen to leave
// who comes back on another instance. The store looks after what is left.
func (r *Rooms) HandOver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handingOver = true
}
