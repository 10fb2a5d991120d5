package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"slices"
	"time"
)

// separator stands between data and digest. URL-safe base64 may contain it too, so the
// digest is found by its length.
const separator = "--"

// digests are the accepted ones of MessageVerifier. SHA1 is its default in many versions,
// and as an HMAC still secure.
var digests = []func() hash.Hash{sha1.New, sha256.New}

// encodings are those of Rails' versions and settings.
var encodings = []*base64.Encoding{
	base64.StdEncoding.Strict(), base64.URLEncoding.Strict(), base64.RawURLEncoding.Strict(),
}

// verifyRails accepts what a MessageVerifier with a JSON serializer signed: a user object
// or an id.
func (v *Verifier) verifyRails(token string, now time.Time) (Identity, error) {
	data, ok := v.signed(token)
	if !ok {
		return Identity{}, because(ErrSignature, "only SHA1 and SHA256 are taken")
	}
	raw, ok := decode(data)
	if !ok {
		return Identity{}, because(ErrMalformed, "its data is not base64")
	}
	value, expires, err := unwrap(raw, now)
	if err != nil {
		return Identity{}, err
	}
	user, _, err := userOf(value)
	return Identity{User: user, Expires: expires}, err
}

// signed returns the data of a message that was signed with one of the secrets.
func (v *Verifier) signed(token string) (data string, ok bool) {
	for _, digest := range digests {
		at := len(token) - hex.EncodedLen(digest().Size())
		if at < len(separator) || token[at-len(separator):at] != separator {
			continue
		}
		data := token[:at-len(separator)]
		for _, secret := range v.secrets {
			mac := hmac.New(digest, secret)
			mac.Write([]byte(data))
			if hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(token[at:])) {
				return data, true
			}
		}
	}
	return "", false
}

func decode(text string) ([]byte, bool) {
	for _, encoding := range encodings {
		if raw, err := encoding.DecodeString(text); err == nil {
			return raw, true
		}
	}
	return nil, false
}

// unwrap returns the value in the envelope of messages with an expiry or a purpose.
func unwrap(raw []byte, now time.Time) (value json.RawMessage, expires time.Time, err error) {
	if !json.Valid(raw) {
		return nil, expires, because(ErrMalformed, "its value is not JSON (what Marshal wrote is never read)")
	}
	value = bytes.TrimSpace(raw)
	if value[0] != '{' {
		return value, expires, nil
	}
	outer, err := object(value)
	if err != nil || outer[envelope] == nil {
		return value, expires, err
	}
	inner, err := object(outer[envelope])
	if err != nil || len(outer) != 1 {
		return nil, expires, because(ErrMalformed, "its envelope is not as Rails makes it")
	}
	// A message for another purpose with the same secret is no identity.
	if pur := inner["pur"]; !absent(pur) && string(pur) != `"`+audience+`"` {
		return nil, expires, because(ErrAudience, `its purpose must be "`+audience+`", or none`)
	}
	if exp := inner["exp"]; !absent(exp) {
		if json.Unmarshal(exp, &expires) != nil {
			return nil, expires, because(ErrMalformed, "exp must be a time of ISO 8601")
		}
		if !now.Before(expires) {
			return nil, expires, ErrExpired
		}
	}
	value, err = content(inner)
	return value, expires, err
}

// content is the value in an envelope: "data" as it is (since Rails 7.1), or "message" as
// base64 of JSON (before, and by setting).
func content(inner map[string]json.RawMessage) (json.RawMessage, error) {
	for name := range inner {
		if !slices.Contains([]string{"message", "data", "exp", "pur"}, name) {
			return nil, because(ErrMalformed, "its envelope has unknown fields")
		}
	}
	message, data := inner["message"], inner["data"]
	if (message == nil) == (data == nil) {
		return nil, because(ErrMalformed, "its envelope needs either message or data")
	}
	if data != nil {
		return data, nil
	}
	var text string
	if err := json.Unmarshal(message, &text); err != nil {
		return nil, because(ErrMalformed, "message must be a string")
	}
	raw, ok := decode(text)
	if !ok || !json.Valid(raw) {
		return nil, because(ErrMalformed, "message is not JSON in base64 (what Marshal wrote is never read)")
	}
	return bytes.TrimSpace(raw), nil
}
