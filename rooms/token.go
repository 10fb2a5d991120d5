package rooms

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// This file is what a token decides for as long as a session lasts: the fields
// of its user, and when it has to be renewed.

// A field is one of a JSON object, in the object's order.
type field struct {
	name  string
	value json.RawMessage
}

// fieldsInOrder reads a valid JSON object. Of equal names the last value
// counts, as in JavaScript, at the first one's place.
func fieldsInOrder(object json.RawMessage) (out []field) {
	d := json.NewDecoder(bytes.NewReader(object))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	at := make(map[string]int)
	for d.More() {
		var value json.RawMessage
		token, _ := d.Token()
		name, ok := token.(string)
		if !ok || d.Decode(&value) != nil {
			return nil
		}
		if i, again := at[name]; again {
			out[i].value = value
			continue
		}
		at[name] = len(out)
		out = append(out, field{name, value})
	}
	return out
}

// withToken is what is shown of a user who has a token: the token's object, and
// behind it the fields that the client adds. It returns a Refusal with code
// forbidden if the client's object has a field of the token's with another
// value.
func withToken(token, client json.RawMessage) (json.RawMessage, error) {
	if len(token) == 0 {
		return client, nil
	}
	fixed := fields([]json.RawMessage{token})
	var added []field
	for _, f := range fieldsInOrder(client) {
		value, isFixed := fixed[f.name]
		switch {
		case !isFixed:
			added = append(added, f)
		case !sameField(f.name, value, f.value):
			return nil, &Refusal{"forbidden", fmt.Sprintf("The field %.64q is another in your token, and only a new token can change it.", f.name)}
		}
	}
	return withFields(token, added), nil
}

// withFields is an object with fields behind its own. Without any it is the
// same to the byte.
func withFields(object json.RawMessage, added []field) json.RawMessage {
	if len(added) == 0 {
		return object
	}
	out := bytes.TrimRight(object, " \t\r\n")
	out = bytes.TrimRight(out[:len(out)-1], " \t\r\n") // without the brace; a token's user has an id before it
	out = bytes.Clone(out)
	for _, f := range added {
		out = append(append(out, ','), encode(f.name)...)
		out = append(append(out, ':'), f.value...)
	}
	return append(out, '}')
}

// addedFields are those of a shown object that a token does not have.
func addedFields(shown, token json.RawMessage) (added []field) {
	fixed := fields([]json.RawMessage{token})
	for _, f := range fieldsInOrder(shown) {
		if _, isFixed := fixed[f.name]; !isFixed {
			added = append(added, f)
		}
	}
	return added
}

// sameField compares two values of a field: ids as text, others as JSON values.
func sameField(name string, a, b json.RawMessage) bool {
	if name == "id" {
		x, errX := idText(a)
		y, errY := idText(b)
		return errX == nil && errY == nil && x == y
	}
	x, errX := parseValue(a)
	y, errY := parseValue(b)
	return errX == nil && errY == nil && sameValue(x, y)
}

func parseValue(value json.RawMessage) (parsed any, err error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	err = d.Decode(&parsed)
	return parsed, err
}

// sameValue compares parsed JSON values: numbers by what they are, objects
// whatever the order of their fields.
func sameValue(a, b any) bool {
	switch x := a.(type) {
	case json.Number:
		y, ok := b.(json.Number)
		return ok && sameNumber(string(x), string(y))
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !sameValue(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for name, value := range x {
			other, has := y[name]
			if !has || !sameValue(value, other) {
				return false
			}
		}
		return true
	}
	return a == b // nil, bool, string
}

// sameNumber compares integers digit by digit, since as floats large ones would
// be equal that are not, and everything else as floats.
func sameNumber(a, b string) bool {
	if !strings.ContainsAny(a+b, ".eE") {
		return strings.TrimPrefix(a, "-") == strings.TrimPrefix(b, "-") && (a == b || strings.TrimPrefix(a, "-") == "0")
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y
}

// chatName is what a user is called in chat rooms: the first text of username,
// nickname and name that is not blank, "" if there is none.
func chatName(user json.RawMessage) string {
	f := fields([]json.RawMessage{user})
	for _, value := range []json.RawMessage{f["username"], f["nickname"], f["name"]} {
		var text string
		if json.Unmarshal(value, &text) != nil {
			continue
		}
		if text = strings.TrimSpace(text); text != "" {
			if utf8.RuneCountInString(text) > maxUsername {
				text = strings.TrimSpace(string([]rune(text)[:maxUsername]))
			}
			return text
		}
	}
	return ""
}

// usernameByToken is the name that a session enters a room with: the token's,
// if its user has one. It returns a Refusal with code forbidden for another
// name, or for a user with other fields than the token's.
func (s *session) usernameByToken(f map[string]json.RawMessage) (string, error) {
	username, err := usernameOf(f)
	token := s.token
	if err != nil || len(token) == 0 {
		return username, err
	}
	if user := f["user"]; len(user) > 0 && user[0] == '{' {
		if _, err := withToken(token, user); err != nil {
			return "", err
		}
	}
	name := chatName(token)
	if name == "" {
		return username, nil
	}
	var wanted *string
	if json.Unmarshal(f["username"], &wanted) == nil && wanted != nil && cmp.Or(strings.TrimSpace(*wanted), name) != name {
		return "", &Refusal{"forbidden", `The field "username" is another than the name in your token.`}
	}
	return name, nil
}

// renew takes a newer token of the same user. Its fields are shown at once; the
// status, which is one to start with, stays, and so do names in chat rooms until
// the next join.
func (r *Rooms) renew(s *session, args []json.RawMessage) (map[string]any, error) {
	var token string
	if r.options.Authenticate == nil || json.Unmarshal(fields(args)["token"], &token) != nil {
		return nil, errUnauthorized
	}
	who, err := r.options.Authenticate(token)
	if err != nil {
		return nil, errUnauthorized
	}
	key, err := identify(who.User, "")
	switch {
	case err != nil:
		return nil, err
	case key.anonymous:
		return nil, errUnauthorized
	case s.guest, key != s.tokenKey:
		return nil, errForbidden
	}
	if err := r.applyToken(s, who.User); err != nil {
		return nil, err
	}
	r.expireAt(s, who.Expires)
	if who.Expires.IsZero() {
		return map[string]any{"expires_in": nil}, nil
	}
	return map[string]any{"expires_in": secondsUntil(who.Expires)}, nil
}

// applyToken shows the user of a newer token in the entry that is there, with
// the fields that the client has added. Nothing changes if that is refused.
func (r *Rooms) applyToken(s *session, user json.RawMessage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, registered := s.entries[s.onlineKey()]
	shown := user
	if registered {
		shown = withFields(user, addedFields(e.Data, concat(s.token, user)))
	}
	if err := r.checkSize(shown); err != nil {
		return err
	}
	s.token = bytes.Clone(user)
	if !registered || bytes.Equal(shown, e.Data) {
		return nil
	}
	return r.putUser(s, s.key, bytes.Clone(shown))
}

// concat is an object with the fields of two.
func concat(a, b json.RawMessage) json.RawMessage {
	if len(a) == 0 {
		return b
	}
	return withFields(a, addedFields(b, a))
}

// checkSize returns a Refusal with code user_too_large for a user over the
// limit.
func (r *Rooms) checkSize(user json.RawMessage) error {
	if size := len(user); size > r.options.MaxUser {
		return &Refusal{"user_too_large", fmt.Sprintf("The user object has %d bytes; the limit is %d.", size, r.options.MaxUser)}
	}
	return nil
}

// secondsUntil is for clients.
func secondsUntil(end time.Time) int { return int(time.Until(end).Round(time.Second).Seconds()) }
