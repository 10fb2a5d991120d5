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
func (r *Rooms) Connect(c Conn, h Handshake) error {
	subscription, err := subscriptionOf(h)
	if err != nil {
		return err
	}
	wanted, err := statusOfHandshake(h)
	if err != nil {
		return err
	}
	who, err := r.admit(h)
	if err != nil {
		return err
	}
	s := &session{
		id: c.ID(), conn: c, subscription: subscription,
		fixed: who.key, token: who.token(), guest: who.guest, wantsObject: h.Query.Get("userId") != "",
		address: h.Address,
		initial: startStatus(wanted, who.status),
	}
	r.startLocked(s)
	s.activeAt.Store(time.Now().UnixMilli())
	r.mu.Lock()
	_, taken := r.sessions[s.id]
	if !taken {
		r.sessions[s.id] = s
		if own := c.ClientID(); own != s.id {
			r.aliases[own] = s
		}
		if subscription == countOnly {
			s.owedCount, r.pending.counts = true, true
		}
	}
	r.mu.Unlock()
	if taken {
		return fmt.Errorf("connect: socket id %q is connected already", s.id)
	}
	r.wakeUp()
	if who.user == nil {
		return nil
	}
	if _, err := r.register(s, []json.RawMessage{who.user}); err != nil {
		r.Disconnect(c, Closed)
		return err
	}
	r.expireAt(s, who.expires)
	return nil
}

// Disconnect lets go of a socket and removes its entries, for the given reason.
// A socket that is unknown or gone already is none of its business.
func (r *Rooms) Disconnect(c Conn, reason Reason) {
	s := r.session(c)
	if s == nil {
		return
	}
	s.mu.Lock()
	s.gone = true
	s.stopExpiring()
	key, registered := s.key, s.registered()
	r.noteLastLocked(s)
	handingOver := r.handingOver.Load()
	for place, e := range s.places {
		// Handing over, the entries are left to whoever comes after this instance.
		_, mayReturn := holderOf(e, key)
		if handingOver && !mayReturn || !handingOver && !r.leaving.hold(e, key, reason) {
			s.removeLocked(r.store, place, reason)
		}
	}
	clear(s.places)
	if !handingOver {
		for _, list := range s.stages {
			r.dropOutLocked(s, list)
		}
	}
	s.mu.Unlock()
	r.mu.Lock()
	delete(r.sessions, s.id)
	delete(r.aliases, c.ClientID())
	r.membership.leaveAll(s)
	r.mu.Unlock()
	if !registered {
		r.tellStrictly() // as Node does
	}
}

// HandOver is called when this instance is about to end: from here on the
// entries of sockets that go stay in the store, so that nobody is seen to leave
// who comes back on another instance. The store looks after what is left.
func (r *Rooms) HandOver() { r.handingOver.Store(true) }

// session finds what Connect took, nil if it did not or if the socket is gone.
func (r *Rooms) session(c Conn) *session {
	id := c.ID()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[id]; s != nil && s.conn == c {
		return s
	}
	return nil
}
