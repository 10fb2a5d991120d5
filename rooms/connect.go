package rooms

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Connect takes a socket, before any of its events. A user who is known from the
// handshake is registered. It returns a Refusal with code bad_presence if the
// handshake asks for an unknown subscription, with code bad_status for an unknown
// status, with code unauthorized if it lacks a valid token, and those of register;
// then the socket is not taken.
func (r *Rooms) Connect(c Conn, h Handshake) (Session, error) {
	subscription, err := subscriptionOf(h)
	if err != nil {
		return nil, err
	}
	wanted, err := statusOfHandshake(h)
	if err != nil {
		return nil, err
	}
	admitted, err := r.tokens.authenticate(h)
	if err != nil {
		return nil, err
	}
	s := &session{
		service: r, id: c.ID(), clientID: c.ClientID(), conn: c, subscription: subscription,
		tokenKey: admitted.key, token: admitted.token.User, guest: admitted.guest, address: h.Address,
		wantsIDs: h.Query.Get("userId") != "", initial: initialStatus(wanted, admitted.token.Status),
	}
	s.activeAt.Store(time.Now().UnixMilli())
	if !r.addSession(s) {
		return nil, fmt.Errorf("connect: socket id %q is connected already", s.id)
	}
	if admitted.key != (userKey{}) {
		// From here on a sign-out finds the session. An earlier one may have revoked
		// the token since it was checked.
		if again, err := r.tokens.authenticate(h); err != nil || again.key != admitted.key {
			s.Disconnect(Closed)
			return nil, errUnauthorized
		}
	}
	if admitted.user == nil {
		return s, nil
	}
	if _, err := r.users.register(s, []json.RawMessage{admitted.user}); err != nil {
		s.Disconnect(Closed)
		return nil, err
	}
	r.tokens.expireAt(s, admitted.token.Expires)
	return s, nil
}

// addSession adds a new session, unless its id is taken. It takes the lock.
func (r *Rooms) addSession(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sessions.add(s) {
		return false
	}
	s.skipsHidden = len(r.online.removed) > 0
	s.setStatus(r.statuses.initial(s))
	r.sessions.moveToUserRoom(s, userKey{})
	if s.subscription == countOnly {
		s.needsCount, r.pending.counts = true, true
		r.outbox.wakeUp()
	}
	return true
}

// Parameters names what is read of a handshake's query.
func Parameters() []string { return []string{"presence", "status", "token", "userId"} }

// unlessMissing is "" for the texts that JavaScript makes of a value that is not there,
// or not text: io(url, {query: {userId: user.id}}) without a user sends these.
func unlessMissing(text string) string {
	if slices.Contains([]string{"undefined", "null", "NaN", "[object Object]"}, text) {
		return ""
	}
	return text
}

// text is what a client says of itself when it connects: the field of auth if that is
// text, else that of the query, "" if neither says anything.
func (h Handshake) text(name string) string {
	text, _ := h.Auth[name].(string)
	return cmp.Or(unlessMissing(text), h.queryText(name))
}

func (h Handshake) queryText(name string) string { return unlessMissing(h.Query.Get(name)) }

// A subscription is what a socket chose to get of Online.
type subscription string

const (
	both        subscription = "both"    // deltas and snapshots
	listOnly    subscription = "list"    // snapshots
	changesOnly subscription = "changes" // one snapshot, then deltas
	countOnly   subscription = "count"   // online_count
	none        subscription = "none"
)

func subscriptionOf(h Handshake) (subscription, error) {
	wanted := h.text("presence")
	switch s := subscription(wanted); s {
	case "":
		return both, nil
	case both, listOnly, changesOnly, countOnly, none:
		return s, nil
	}
	return "", &Refusal{"bad_presence", fmt.Sprintf(
		"presence is %.64q; it must be both, list, changes, count or none.", wanted)}
}

// statusOfHandshake is the status that a client wants to start with, "" if it names
// none. An unknown one is refused: a client that means to hide must not be shown.
func statusOfHandshake(h Handshake) (Status, error) {
	wanted := h.text("status")
	switch value := h.Auth["status"].(type) {
	case nil, string:
	default: // it may have been meant to hide
		return "", &Refusal{"bad_status", fmt.Sprintf("status is a %T; it must be active, away or hidden.", value)}
	}
	if status := Status(wanted); wanted == "" || status.isValid() {
		return status, nil
	}
	return "", &Refusal{"bad_status", fmt.Sprintf("status is %.64q; it must be active, away or hidden.", wanted)}
}

func (s Status) isValid() bool { return s == Active || s == Away || s == Hidden }

// initialStatus is the status of a session before its first own choice: hidden if the
// client or its token says so, else what the client says, else the token.
func initialStatus(client, token Status) Status {
	if client == Hidden || token == Hidden {
		return Hidden
	}
	return cmp.Or(client, token, Active)
}
