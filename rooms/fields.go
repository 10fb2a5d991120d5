package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// This file reads JSON objects by their fields, and joins those of a user that a token
// fixes with those that the client adds.

// fields reads a JSON object, of an event the first argument; nil if it is none. As in
// JavaScript names are case-sensitive, and the last of several equal ones counts.
func fields(args ...json.RawMessage) (out map[string]json.RawMessage) {
	if len(args) == 0 || json.Unmarshal(args[0], &out) != nil {
		return nil
	}
	return out
}

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

// withToken returns what is shown of a user who has a token: the token's object, and
// behind it the fields that the client adds. It returns a Refusal with code forbidden
// if the client's object has another value in a field of the token's.
func withToken(token, client json.RawMessage) (json.RawMessage, error) {
	if len(token) == 0 {
		return client, nil
	}
	fixed := fields(token)
	for _, f := range fieldsInOrder(client) {
		if value, isFixed := fixed[f.name]; isFixed && !sameField(f.name, value, f.value) {
			return nil, &Refusal{"forbidden", fmt.Sprintf("The field %.64q is another in your token, and only a new token can change it.", f.name)}
		}
	}
	return withFields(token, addedFields(client, token)), nil
}

// withFields returns an object with fields behind its own; without any, the same bytes.
func withFields(object json.RawMessage, added []field) json.RawMessage {
	if len(added) == 0 {
		return object
	}
	out := bytes.TrimSuffix(bytes.TrimRight(object, " \t\r\n"), []byte("}"))
	out = bytes.Clone(bytes.TrimRight(out, " \t\r\n")) // a token's user has an id before it
	for _, f := range added {
		out = append(append(out, ','), encode(f.name)...)
		out = append(append(out, ':'), f.value...)
	}
	return append(out, '}')
}

// addedFields returns those of a shown object that no token's user has.
func addedFields(shown json.RawMessage, tokens ...json.RawMessage) (added []field) {
	isFixed := make(map[string]bool)
	for _, token := range tokens {
		for name := range fields(token) {
			isFixed[name] = true
		}
	}
	for _, f := range fieldsInOrder(shown) {
		if !isFixed[f.name] {
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
		return ok && slices.EqualFunc(x, y, sameValue)
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && maps.EqualFunc(x, y, sameValue)
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
