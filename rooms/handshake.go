package rooms

import "fmt"

// Parameters names what is read of a handshake's query.
func Parameters() []string { return []string{"presence", "status", "token", "userId"} }

// isMissing reports whether a text is what JavaScript makes of a value that is
// not there, or that is no text: io(url, {query: {userId: user.id}}) sends
// these when nobody has signed in.
func isMissing(text string) bool {
	switch text {
	case "", "undefined", "null", "NaN", "[object Object]":
		return true
	}
	return false
}

// text is what a client says of itself when it connects: the field of auth if
// that is a text, else that of the query, "" if neither says anything.
func (h Handshake) text(name string) string {
	if text, ok := h.Auth[name].(string); ok && !isMissing(text) {
		return text
	}
	return h.queryText(name)
}

func (h Handshake) queryText(name string) string {
	if text := h.Query.Get(name); !isMissing(text) {
		return text
	}
	return ""
}

// statusOfHandshake is the status that a client wants to start with, "" if it
// names none. It returns a Refusal with code bad_status for an unknown one: a
// client that means to hide must not be shown.
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

// startStatus is the status of a session before its first own choice: hidden
// if the client or its token says so, else what the client says, else the
// token.
func startStatus(client, token Status) Status {
	switch {
	case client == Hidden || token == Hidden:
		return Hidden
	case client != "":
		return client
	case token != "":
		return token
	}
	return Active
}
