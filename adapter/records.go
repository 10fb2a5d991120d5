package adapter

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"rollcall/rooms"
)

// What is remembered, and its bounds: parts of the contract of rooms.Store.
const (
	MaxHistory   = 100                // messages of one room
	KeepHistory  = 7 * 24 * time.Hour // each
	MaxHistories = 64 << 20           // bytes of all rooms
	MaxSeen      = 1_000_000          // users
	MaxSeenID    = 256                // bytes of an id: a user with a longer one is not remembered
	ShortID      = 64                 // bytes of an id: longer ones are remembered apart
	MaxSeenLong  = 250_000            // users with a longer id: as many bytes as those with a short one
	KeepSeen     = 30 * 24 * time.Hour
	MaxNonces    = 100_000
	KeepNonce    = 10 * time.Minute
)

// NotBefore is a copy of the messages from a time on.
func NotBefore(all []rooms.ChatMessage, oldest int64) []rooms.ChatMessage {
	return slices.DeleteFunc(slices.Clone(all), func(m rooms.ChatMessage) bool { return m.At < oldest })
}

// IsActivity tells whether putting an entry shows that its user was active:
// somebody came, came out of hiding, or changed the user's data. A change of
// status alone does not: nobody need have been there when it became away.
func IsActivity(before rooms.Entry, replaced bool, e rooms.Entry) bool {
	switch {
	case e.List != rooms.Online || e.Status == rooms.Hidden:
		return false
	case !replaced || before.Status == rooms.Hidden:
		return true
	}
	return before.UserID != e.UserID || !bytes.Equal(before.Data, e.Data)
}

// IsRemembered tells whether an entry's user is known by more than the socket,
// which never comes back.
func IsRemembered(e rooms.Entry) bool { return e.UserID != e.Key && len(e.UserID) <= MaxSeenID }

// NonceKey is a short text that is the same for what counts as one message, ""
// for one without a nonce.
func NonceKey(m rooms.ChatPost) string {
	if m.Nonce == "" {
		return ""
	}
	sender := "name:" + m.Username
	if m.UserID != "" {
		sender = "user:" + m.UserID
	}
	// Lengths could be confused, digests of the parts cannot.
	return Digest(strings.Join([]string{Digest(m.Room), Digest(sender), Digest(m.Nonce)}, "."))
}

// Digest is a short name for a text of any length.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
