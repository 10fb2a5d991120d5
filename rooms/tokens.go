package rooms

import (
	"bytes"
	"encoding/json"
	"time"
)

// tokens decide which user a session is and until when. Without Options.Authenticate
// every session is the user that it says.
type tokens struct {
	*core
	users *users
}

// maxWarning is how long before a token's end its client is warned.
const maxWarning = time.Minute

var (
	errUnauthorized = &Refusal{"unauthorized", "A valid token is needed to connect."}
	errForbidden    = &Refusal{"forbidden", "You can only be the user that your token is of."}
	errGuest        = &Refusal{"forbidden", "A guest has no id: connect with a token."}
)

// An admission is what a handshake gives the right to.
type admission struct {
	user  json.RawMessage // to be registered at once; nil: none
	key   userKey         // the only user that it may be; zero: any
	guest bool            // it may be no user with an id
	token Identity        // of a token; zero: none
}

// authenticate reads a handshake. It returns a Refusal with code unauthorized, or with
// code bad_user if a valid token has a user that must not be shown.
func (t *tokens) authenticate(h Handshake) (admission, error) {
	if t.options.Authenticate == nil {
		if id := h.queryText("userId"); id != "" {
			return admission{user: encode(map[string]string{"id": id})}, nil
		}
		return admission{}, nil
	}
	identity, key, err := t.read(h.text("token"))
	switch {
	case err == nil:
		return admission{user: identity.User, key: key, token: identity}, nil
	case err == errUnauthorized && t.options.AllowGuests:
		return admission{guest: true}, nil
	}
	return admission{}, err
}

// read returns the user of a token, who has an id, with the errors of authenticate.
func (t *tokens) read(token string) (identity Identity, key userKey, err error) {
	if token == "" {
		return identity, key, errUnauthorized
	}
	if identity, err = t.options.Authenticate(token); err != nil {
		return identity, key, errUnauthorized
	}
	if key, err = identify(identity.User, ""); err == nil && key.anonymous {
		err = errUnauthorized
	}
	return identity, key, err
}

// checkUser returns a Refusal with code forbidden unless the session may be this user.
func (s *session) checkUser(key userKey) error {
	switch {
	case s.guest && !key.anonymous:
		return errGuest
	case s.tokenKey != userKey{} && s.tokenKey != key:
		return errForbidden
	}
	return nil
}

// isTrusted reports whether the session is the user that it says.
func (s *session) isTrusted() bool { return s.tokenKey == userKey{} && !s.guest }

// checkID returns a Refusal with code forbidden unless the session may put something
// with this id into a stage or race. An id of a trusted client is data, as in Node.
func (s *session) checkID(id string) error {
	if id == "" {
		return nil
	}
	return s.checkUser(userKey{id: id})
}

// ownerID is the id of the user who owns what the session puts into stages and races:
// the token's, else that of the registered user, else the socket's.
func (s *session) ownerID() string {
	switch {
	case s.tokenKey != userKey{}:
		return s.tokenKey.id
	case s.registered.Load():
		return s.key.id
	}
	return s.id
}

// renew takes a newer token of the same user. Its fields are shown at once; the status,
// which is one to start with, stays, and so do names in chat rooms until the next join.
func (t *tokens) renew(s *session, args []json.RawMessage) (map[string]any, error) {
	var token string
	if t.options.Authenticate == nil || json.Unmarshal(fields(args...)["token"], &token) != nil {
		return nil, errUnauthorized
	}
	identity, key, err := t.read(token)
	if err != nil {
		return nil, err
	}
	if s.guest || key != s.tokenKey {
		return nil, errForbidden
	}
	if err := t.apply(s, identity.User); err != nil {
		return nil, err
	}
	t.expireAt(s, identity.Expires)
	if identity.Expires.IsZero() {
		return map[string]any{"expires_in": nil}, nil
	}
	return map[string]any{"expires_in": secondsUntil(identity.Expires)}, nil
}

// apply shows the user of a newer token in the entry that is there, with the fields that
// the client has added. Nothing changes if that is refused. It takes the lock.
func (t *tokens) apply(s *session, user json.RawMessage) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, registered := s.entries[s.onlineKey()]
	shown := user
	if registered {
		shown = withFields(user, addedFields(e.Data, s.token, user))
	}
	if err := t.users.checkSize(shown); err != nil {
		return err
	}
	s.token = bytes.Clone(user)
	if !registered || bytes.Equal(shown, e.Data) {
		return nil
	}
	return t.users.putUser(s, bytes.Clone(shown))
}

// secondsUntil is for clients.
func secondsUntil(end time.Time) int { return int(time.Until(end).Round(time.Second).Seconds()) }

// expireAt ends a session when its token ends, in place of the time before: after a
// warning, and so that the client reconnects. It takes the lock.
func (t *tokens) expireAt(s *session, end time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.stopExpiryTimer()
	s.expires = end
	if end.IsZero() || s.gone.Load() {
		return
	}
	left := time.Until(end)
	s.expiry = time.AfterFunc(left-min(maxWarning, left/2), func() { t.warn(s, end) })
}

// warn sends token_expiring, and sets the timer for the end. It takes the lock.
func (t *tokens) warn(s *session, end time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.gone.Load() || !s.expires.Equal(end) { // or it was renewed meanwhile
		return
	}
	seconds := encode(map[string]int{"expires_in": secondsUntil(end)})
	t.outbox.add(batch{events: []Event{{"token_expiring", []json.RawMessage{seconds}}}, to: []Conn{s.conn}})
	s.expiry = time.AfterFunc(time.Until(end), func() { t.expire(s, end) })
}

// expire disconnects the session if its token still ends then. It takes the lock.
func (t *tokens) expire(s *session, end time.Time) {
	t.mu.Lock()
	expired := !s.gone.Load() && s.expires.Equal(end)
	t.mu.Unlock()
	if expired {
		s.conn.Close(true)
	}
}

func (s *session) stopExpiryTimer() {
	if s.expiry != nil {
		s.expiry.Stop()
	}
}
