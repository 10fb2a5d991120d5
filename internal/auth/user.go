package auth

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// envelope is the field of Rails' metadata. A user object must not have it: that would
// be an envelope whose expiry was not checked.
const envelope = "_rails"

// userOf returns the user of a value: an object with an id, as it is, or an object made
// of an id. The id is returned as text, a number as written.
func userOf(value json.RawMessage) (user json.RawMessage, id string, err error) {
	user = value
	if value[0] != '{' {
		user = append(append(json.RawMessage(`{"id":`), value...), '}')
	}
	fields, err := object(user)
	if err != nil {
		return nil, "", err
	}
	if fields[envelope] != nil {
		return nil, "", because(ErrUser, "it is wrapped twice")
	}
	switch raw := fields["id"]; {
	case absent(raw):
		return nil, "", because(ErrUser, "it has no id")
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &id); err != nil || id == "" || strings.ContainsRune(id, utf8.RuneError) {
			// Halves of surrogate pairs all become this rune, so different ids would
			// be equal.
			return nil, "", because(ErrUser, "its id is empty or not Unicode")
		}
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		id = string(raw)
	default:
		return nil, "", because(ErrUser, "its id must be a string or a number")
	}
	return user, id, nil
}

// object reads a JSON object without duplicate fields: parsers differ in which of two
// counts.
func object(raw []byte) (map[string]json.RawMessage, error) {
	notObject := because(ErrMalformed, "what should be a JSON object is none")
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, notObject
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, notObject
	}
	fields := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if err != nil || !ok || decoder.Decode(&value) != nil {
			return nil, notObject
		}
		if _, twice := fields[name]; twice {
			return nil, because(ErrMalformed, "a JSON object has a field twice")
		}
		fields[name] = value
	}
	return fields, nil
}

// absent reports whether a field is missing or null.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || raw[0] == 'n' }
