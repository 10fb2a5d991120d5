package rooms

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A userKey tells users apart. A user without an id is known by the socket id, and is not
// the user whose id is the same.
type userKey struct {
	id        string
	anonymous bool
}

// hasID reports whether there is a user, and one with an id.
func (k userKey) hasID() bool { return k.id != "" && !k.anonymous }

// identify reads a user object's identity: its "id", if that is a string or a
// number and not empty, else the socket id. It returns a Refusal with code
// bad_user for anything that is not a valid JSON object with such an id.
func identify(user json.RawMessage, socket string) (userKey, error) {
	if trimmed := bytes.TrimLeft(user, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return userKey{}, badUser("The user must be a JSON object.")
	}
	// Text that is not UTF-8 would also cost every receiver its connection.
	if err := checkValue("bad_user", "The user", user); err != nil {
		return userKey{}, err
	}
	f := fields(user)
	if f == nil {
		return userKey{}, badUser("The user is not valid JSON.")
	}
	id, err := idText(f["id"])
	if err != nil {
		return userKey{}, err
	}
	if id == "" {
		return userKey{id: socket, anonymous: true}, nil
	}
	return userKey{id: id}, nil
}

// UserID is the id of a user object as text; "" if it has none.
func UserID(user json.RawMessage) string {
	key, _ := identify(user, "")
	return key.id
}

// keyOf is the key of an entry's user. If that is the socket id, the object tells
// whether it is also the user's.
func keyOf(e Entry) userKey {
	if e.UserID == e.Key {
		if key, err := identify(e.Data, e.Key); err == nil {
			return key
		}
		return userKey{id: e.Key, anonymous: true}
	}
	return userKey{id: e.UserID}
}

// idText is an id as text: the property key that JavaScript makes of it, so
// that 5 and "5" are one user; but whole numbers keep all of their digits.
func idText(id json.RawMessage) (string, error) {
	if len(id) == 0 {
		return "", nil
	}
	switch c := id[0]; {
	case c == 'n': // null
		return "", nil
	case c == '"':
		var s string
		if err := json.Unmarshal(id, &s); err != nil {
			return "", badUser("The user's id is not valid JSON.")
		}
		if strings.ContainsRune(s, utf8.RuneError) {
			// Half surrogate pairs all become this rune: one id for several of JavaScript's.
			return "", badUser("The user's id is not valid Unicode.")
		}
		return s, nil
	case c == '-' || '0' <= c && c <= '9':
		return numberText(string(id))
	}
	return "", badUser("The user's id must be a string or a number.")
}

func numberText(literal string) (string, error) {
	if !strings.ContainsAny(literal, ".eE") {
		if literal == "-0" {
			return "0", nil
		}
		return literal, nil
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return "", badUser("The user's id is too large a number.")
	}
	size := math.Abs(f)
	switch {
	case size == 0:
		return "0", nil
	case size >= 1e-6 && size < 1e21:
		return strconv.FormatFloat(f, 'f', -1, 64), nil
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	return strings.Replace(text, "e-0", "e-", 1), nil // 1e-07 is 1e-7 in JavaScript
}

func badUser(message string) *Refusal { return &Refusal{"bad_user", message} }
