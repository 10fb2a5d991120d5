// Package auth verifies tokens: JSON Web Tokens (jwt.go) and messages of Rails'
// ActiveSupport::MessageVerifier (rails.go). It reads the user object of either
// (user.go).
//
// It makes no token, keeps no state and imports no other package of this module. None
// of its errors contains any part of a token or a secret. What a user may do is decided
// in rooms.
package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// MaxToken is the longest token that is verified, in bytes.
	MaxToken = 8 << 10
	// MinSecret is the shortest secret, in bytes: a shorter one could be guessed from a
	// single token.
	MinSecret = 16

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

// New returns a Verifier for tokens signed with any of the secrets: with two,
// one can be rotated. It returns an error without a secret and for one that is
// too short.
func New(secrets []string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret to verify tokens with")
	}
	v := &Verifier{}
	for i, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("secret %d of %d has %d bytes, and needs at least %d", i+1, len(secrets), len(secret), MinSecret)
		}
		v.secrets = append(v.secrets, []byte(secret))
	}
	return v, nil
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
