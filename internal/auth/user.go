package auth

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// envelope is the field by which Rails marks metadata. A user has none: there
// it would be an envelope that nobody opened.
const envelope = "_rails"

// userOf is the user that a value names: an object with an id, as it is, or an
// object of the id alone. The id is returned as text, a number's as written.
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
			// Halves of surrogate pairs all become this rune: different ids
			// would be one.
			return nil, "", because(ErrUser, "its id is empty or not Unicode")
		}
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		id = string(raw)
	default:
		return nil, "", because(ErrUser, "its id must be a string or a number")
	}
	return user, id, nil
}

// object reads a JSON object whose fields are there once each: of two equal
// ones, which counts depends on who reads.
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

// absent: not there, or null, which is how some write that.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || raw[0] == 'n' }
