package auth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// leeway is how far the signer's clock may be ahead, for nbf and iat.
	leeway = 30 * time.Second
	// lastSecond is the end of the year 9999, far below an overflow.
	lastSecond = 253402300799
)

// claims are the claims of a JWT, each at most once. The library checks the dates.
type claims struct {
	jwt.RegisteredClaims
	fields map[string]json.RawMessage
}

// UnmarshalJSON reads the fields, and the dates among them.
func (c *claims) UnmarshalJSON(raw []byte) (err error) {
	if c.fields, err = object(raw); err != nil {
		return err
	}
	for name, at := range map[string]**jwt.NumericDate{"exp": &c.ExpiresAt, "nbf": &c.NotBefore, "iat": &c.IssuedAt} {
		if *at, err = date(c.fields[name]); err != nil {
			return err
		}
	}
	return nil
}

// verifyJWT accepts HS256 only. Otherwise the token could choose the algorithm, such as
// HS512 with the same secret.
func (v *Verifier) verifyJWT(token string, now time.Time) (Identity, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}),
		jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	var c claims
	if _, err := parser.ParseWithClaims(token, &c, v.keys); err != nil {
		return Identity{}, refusal(err)
	}
	if !now.Before(c.ExpiresAt.Time) { // to the library, exp has the leeway too
		return Identity{}, ErrExpired
	}
	if err := checkHeader(parser, token); err != nil {
		return Identity{}, err
	}
	if err := checkAudience(c.fields["aud"]); err != nil {
		return Identity{}, err
	}
	user, err := c.user()
	if err != nil {
		return Identity{}, err
	}
	status, err := c.status()
	identity := Identity{User: user, Status: status, Expires: c.ExpiresAt.Time, JWT: true}
	if c.IssuedAt != nil {
		identity.IssuedAt = c.IssuedAt.Time
	}
	return identity, err
}

// status is the claim status. An unknown one is refused: it may have been meant
// to hide the user.
func (c *claims) status() (status string, err error) {
	raw := c.fields["status"]
	if absent(raw) {
		return "", nil
	}
	if json.Unmarshal(raw, &status) != nil || !slices.Contains([]string{"active", "away", "hidden"}, status) {
		return "", because(ErrMalformed, `its claim status is not "active", "away" or "hidden", which it must be to say how the user starts; give a claim of your own another name`)
	}
	return status, nil
}

func (v *Verifier) keys(*jwt.Token) (any, error) {
	var set jwt.VerificationKeySet
	for _, secret := range v.secrets {
		set.Keys = append(set.Keys, secret)
	}
	return set, nil
}

// refusal replaces the library's error, which may quote the token.
func refusal(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return because(ErrSignature, "only HS256 is taken")
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return ErrNotYet
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return because(ErrMalformed, "exp is required")
	}
	return because(ErrMalformed, "it is no JWT, or its claims are not as they should be")
}

// checkHeader refuses what the library does not check: duplicate fields, and crit, which
// lists extensions that must be understood.
func checkHeader(parser *jwt.Parser, token string) error {
	segment, _, _ := strings.Cut(token, ".")
	raw, _ := parser.DecodeSegment(segment) // which the library has done before
	header, err := object(raw)
	if err == nil && header["crit"] != nil {
		err = because(ErrMalformed, "its header asks for extensions")
	}
	return err
}

// checkAudience follows RFC 7519: a token with an audience must name this server.
func checkAudience(aud json.RawMessage) error {
	if absent(aud) {
		return nil
	}
	var names jwt.ClaimStrings
	if err := json.Unmarshal(aud, &names); err != nil || !slices.Contains(names, audience) {
		return because(ErrAudience, `aud must be "`+audience+`", or not there`)
	}
	return nil
}

// user is the claim user, or else an object of the claim sub.
func (c *claims) user() (json.RawMessage, error) {
	user, sub := c.fields["user"], c.fields["sub"]
	switch {
	case absent(user) && absent(sub):
		return nil, because(ErrUser, "it has neither user nor sub")
	case !absent(user) && user[0] != '{':
		return nil, because(ErrUser, "the claim user must be an object")
	case !absent(sub) && (sub[0] == '{' || sub[0] == '['): // a number is what Rails' user.id is
		return nil, because(ErrUser, "sub must be a string or a number")
	case absent(user):
		user, sub = sub, nil
	}
	user, id, err := userOf(user)
	if err != nil || absent(sub) {
		return user, err
	}
	if _, other, err := userOf(sub); err != nil || other != id {
		return nil, because(ErrUser, "user.id is not sub")
	}
	return user, nil
}

// date reads seconds since 1970, without fractions.
func date(raw json.RawMessage) (*jwt.NumericDate, error) {
	if absent(raw) {
		return nil, nil
	}
	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err != nil || seconds < 0 || seconds > lastSecond {
		return nil, because(ErrMalformed, "a date must be a number of seconds since 1970")
	}
	return jwt.NewNumericDate(time.Unix(int64(seconds), 0)), nil
}
