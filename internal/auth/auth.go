// Package auth verifies tokens: JSON Web Tokens (jwt.go) and messages of Rails'
// ActiveSupport::MessageVerifier (rails.go). It reads the user object of either.
//
// It makes no token, keeps no state and imports no other package of this module. None
// of its errors contains any part of a token or a secret. What a user may do is decided
// in rooms.
package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// MaxToken is the longest token that is verified, in bytes.
	MaxToken = 8 << 10
	// audience is the name of this server in tokens that have an audience.
	audience = "rollcall"
	// alphabet has the characters of both kinds of tokens. Go's base64 skips line breaks,
	// so one token would have many spellings.
	alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-."
)

// The reasons why a token is refused. Verify's errors wrap one of these.
var (
	ErrTooLong   = errors.New("the token is too long")
	ErrMalformed = errors.New("the token is malformed")
	ErrSignature = errors.New("the token is not signed with our secret")
	ErrExpired   = errors.New("the token has expired")
	ErrNotYet    = errors.New("the token is not valid yet")
	ErrAudience  = errors.New("the token is for something else")
	ErrUser      = errors.New("the token names no user")
)

// Identity is what a token proves.
type Identity struct {
	// User is a JSON object whose id is a string that is not empty or a
	// number, byte for byte as it was signed.
	User json.RawMessage
	// Status is the user's first status: active, away or hidden; "" if the token has
	// none. Only a JWT can have one.
	Status string
	// Expires is when the proof ends. It is zero for a message of Rails
	// without an expiry, which does not end.
	Expires time.Time
	// JWT reports whether the token is a JSON Web Token. IssuedAt is when that was made,
	// to the second; zero: it does not say.
	JWT      bool
	IssuedAt time.Time
}

// A Verifier accepts tokens that were signed with one of its secrets. It is safe for
// concurrent use.
type Verifier struct {
	secrets [][]byte
}

// New returns a Verifier for tokens signed with any of the secrets: with two, one can be
// rotated. config has checked that they cannot be guessed.
func New(secrets []string) *Verifier {
	v := &Verifier{}
	for _, secret := range secrets {
		v.secrets = append(v.secrets, []byte(secret))
	}
	return v
}

// Verify returns the identity that a token proves, if it is valid at the time now.
func (v *Verifier) Verify(token string, now time.Time) (identity Identity, err error) {
	switch {
	case len(token) > MaxToken:
		err = ErrTooLong
	case strings.Trim(token, alphabet) != "":
		err = because(ErrMalformed, "it has characters that no token has")
	case strings.Contains(token, "."): // which no message of Rails has
		identity, err = v.verifyJWT(token, now)
	case strings.Contains(token, separator):
		identity, err = v.verifyRails(token, now)
	default:
		err = because(ErrMalformed, "it is neither a JWT nor a message of Rails")
	}
	if err != nil {
		return Identity{}, err
	}
	return identity, nil
}

// because adds a constant text to an error, never a part of the token.
func because(err error, why string) error { return fmt.Errorf("%w: %s", err, why) }

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
		token, _ := decoder.Token() // no errors: raw is valid
		name, _ := token.(string)
		var value json.RawMessage
		_ = decoder.Decode(&value)
		if _, twice := fields[name]; twice {
			return nil, because(ErrMalformed, "a JSON object has a field twice")
		}
		fields[name] = value
	}
	return fields, nil
}

// absent reports whether a field is missing or null.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || raw[0] == 'n' }
