package rooms

import (
	"encoding/json"
	"time"
)

// This file is who may come in, and as whom. Without Options.Authenticate
// everybody may, as whoever they say.

// maxWarning is how long before a token's end its client is warned.
const maxWarning = time.Minute

var (
	errUnauthorized = &Refusal{"unauthorized", "A valid token is needed to connect."}
	errForbidden    = &Refusal{"forbidden", "You can only be the user that your token is of."}
	errGuest        = &Refusal{"forbidden", "A guest has no id: connect with a token."}
)

// An admission is as whom a socket comes in.
type admission struct {
	user     json.RawMessage // to be registered at once; nil: nobody
	tokenKey userKey         // who it has to be; zero: anybody
	guest    bool            // who it may be: nobody with an id
	status   Status          // to start with, by the token; "": none
	expires  time.Time
}

// authenticate reads a handshake. It returns a Refusal with code unauthorized, or with
// code bad_user if a good token has a user that must not be shown.
func (r *Rooms) authenticate(h Handshake) (admission, error) {
	if r.options.Authenticate == nil {
		if id := h.queryText("userId"); id != "" {
			return admission{user: encode(map[string]string{"id": id})}, nil
		}
		return admission{}, nil
	}
	if token := h.text("token"); token != "" {
		if who, err := r.options.Authenticate(token); err == nil {
			key, err := identify(who.User, "")
			if err != nil {
				return admission{}, err
			}
			if !key.anonymous {
				return admission{user: who.User, tokenKey: key, status: who.Status, expires: who.Expires}, nil
			}
		}
	}
	if r.options.AllowGuests {
		return admission{guest: true}, nil
	}
	return admission{}, errUnauthorized
}

// checkUser reports whether the session may be this user: nil, or a Refusal with code
// forbidden.
func (s *session) checkUser(key userKey) error {
	switch {
	case s.guest && !key.anonymous:
		return errGuest
	case s.tokenKey != userKey{} && s.tokenKey != key:
		return errForbidden
	}
	return nil
}

// isTrusted reports whether the session is whoever it says it is.
func (s *session) isTrusted() bool { return s.tokenKey == userKey{} && !s.guest }

// checkID reports whether the session may put something with this id into a
// stage or race: nil, or a Refusal with code forbidden. An id of a trusted
// client is data, as in Node.
func (s *session) checkID(id string) error {
	if id == "" {
		return nil
	}
	return s.checkUser(userKey{id: id})
}

// ownerID is the id of the user who owns what the session puts into stages
// and races: the token's, else that of the registered user, else the socket's.
// r.mu is held.
func (s *session) ownerID() string {
	switch {
	case s.tokenKey != userKey{}:
		return s.tokenKey.id
	case s.registered():
		return s.key.id
	}
	return s.id
}

// token is the user object of the token, nil if there is none.
func (a admission) token() json.RawMessage {
	if a.tokenKey == (userKey{}) {
		return nil
	}
	return a.user
}

// expireAt ends a session when its token does, in place of the time before: with
// a warning before, and so that the client comes back, with a new token if it
// has one.
func (r *Rooms) expireAt(s *session, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.stopExpiryTimer()
	s.expires = end
	if end.IsZero() || s.gone.Load() {
		return
	}
	left := time.Until(end)
	warning := min(maxWarning, left/2)
	s.expiry = time.AfterFunc(left-warning, func() { r.warnOfExpiry(s, end) })
}

// warnOfExpiry tells a session that its token ends then, and waits for that.
func (r *Rooms) warnOfExpiry(s *session, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.gone.Load() || !s.expires.Equal(end) { // or it was renewed meanwhile
		return
	}
	seconds := map[string]int{"expires_in": secondsUntil(end)}
	r.outbox.add(batch{events: []Event{{"token_expiring", []json.RawMessage{encode(seconds)}}}, to: []Conn{s.conn}})
	r.wakeUp()
	s.expiry = time.AfterFunc(time.Until(end), func() { r.expire(s, end) })
}

// expire disconnects the session if its token still ends then.
func (r *Rooms) expire(s *session, end time.Time) {
	r.mu.Lock()
	over := !s.gone.Load() && s.expires.Equal(end)
	r.mu.Unlock()
	if over {
		s.conn.Close(true)
	}
}

// stopExpiryTimer lets go of the timer. r.mu is held.
func (s *session) stopExpiryTimer() {
	if s.expiry != nil {
		s.expiry.Stop()
	}
}
