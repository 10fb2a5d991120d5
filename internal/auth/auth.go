// Package auth knows tokens: who a client is, by the word of whoever holds the
// secret. It takes JSON Web Tokens (jwt.go) and the messages of Rails'
// ActiveSupport::MessageVerifier (rails.go), and reads the user object out of
// either (user.go).
//
// It only verifies: who may do what is for rooms, where a token comes from is
// for wire. It makes no token, keeps no state, knows no other package of this
// module, and none of its errors contains any part of a token or a secret.
package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// MaxToken is the length of the longest token that is looked at, in bytes.
	MaxToken = 8 << 10
	// MinSecret is the length of the shortest secret, in bytes: a shorter one
	// can be found by trying, from a single token.
	MinSecret = 16

	// audience is our name in tokens that say whom they are for.
	audience = "rollcall"
	// alphabet is that of both kinds of tokens. Go's base64 skips line breaks,
	// which would give one token many spellings.
	alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-."
)

// Why a token is refused. Verify's errors are one of these, most with more
// words behind it.
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
	// Status is the one that the user is to start with: active, away or hidden;
	// "" if the token names none. Only a JWT can.
	Status string
	// Expires is when the proof ends. It is zero for a message of Rails
	// without an expiry, which does not end.
	Expires time.Time
	// JWT tells a JSON Web Token from a message of Rails. IssuedAt is when it
	// was made, to the second; zero: it does not say.
	JWT      bool
	IssuedAt time.Time
}

// A Verifier tells whether tokens were signed with one of its secrets. It is
// safe for concurrent use.
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

// Verify returns whom the token speaks of, if it is valid at the time now.
func (v *Verifier) Verify(token string, now time.Time) (who Identity, err error) {
	switch {
	case len(token) > MaxToken:
		err = ErrTooLong
	case strings.Trim(token, alphabet) != "":
		err = because(ErrMalformed, "it has characters that no token has")
	case strings.Contains(token, "."): // which no message of Rails has
		who, err = v.verifyJWT(token, now)
	case strings.Contains(token, separator):
		who, err = v.verifyRails(token, now)
	default:
		err = because(ErrMalformed, "it is neither a JWT nor a message of Rails")
	}
	if err != nil {
		return Identity{}, err
	}
	return who, nil
}

// because adds words to an error. They are ours, never the token's.
func because(err error, why string) error { return fmt.Errorf("%w: %s", err, why) }
