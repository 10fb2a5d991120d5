// Package adapter has what the stores in its folders have in common. They keep
// the state that the instances of one deployment share, and carry changes and
// messages between them: memory for an instance that runs alone, redis and pubsub
// for several.
//
// These packages store and transport; which user is shown to which client is decided
// in rooms. Every store and bus passes the contract suites of adaptertest.
package adapter

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"rollcall/rooms"
)

// The bounds of what is remembered: parts of the contract of rooms.Store.
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
	MaxRevoked   = 100_000 // revocations
	KeepRevoked  = 30 * 24 * time.Hour
)

// NotBefore is a copy of the messages from a time on.
func NotBefore(all []rooms.ChatMessage, oldest int64) []rooms.ChatMessage {
	return slices.DeleteFunc(slices.Clone(all), func(m rooms.ChatMessage) bool { return m.At < oldest })
}

// IsActivity reports whether putting an entry shows that its user was active: the
// user came, came out of hiding, or has other data. A change of status alone does
// not: it may have become away by itself.
func IsActivity(before rooms.Entry, replaced bool, e rooms.Entry) bool {
	switch {
	case e.List != rooms.Online || e.Status == rooms.Hidden:
		return false
	case !replaced || before.Status == rooms.Hidden:
		return true
	}
	return before.UserID != e.UserID || !bytes.Equal(before.Data, e.Data)
}

// IsRemembered reports whether the last activity of an entry's user is remembered: a
// user known only by the socket never comes back.
func IsRemembered(e rooms.Entry) bool { return e.UserID != e.Key && len(e.UserID) <= MaxSeenID }

// NonceKey is a short text that is the same for posts that count as one message, ""
// without a nonce.
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

// NewLRU makes a map of at most so many elements, in the order of their last use.
func NewLRU[K comparable, V any](most int, removed func(K, V)) *simplelru.LRU[K, V] {
	lru, _ := simplelru.NewLRU(most, removed) // its error is for a bound below 1
	return lru
}

// DropOldest removes elements as long as the one used longest ago is old.
func DropOldest[K comparable, V any](lru *simplelru.LRU[K, V], isOld func(V) bool) {
	for _, v, ok := lru.GetOldest(); ok && isOld(v); _, v, ok = lru.GetOldest() {
		lru.RemoveOldest()
	}
}

// Revocations are the users whose earlier tokens are refused, and until when
// those were issued. It is safe for concurrent use.
type Revocations struct {
	// mu guards the field below.
	mu     sync.Mutex
	byUser *simplelru.LRU[string, int64] // epoch ms
}

// A Revocation refuses the tokens of a user that were issued until At.
type Revocation struct {
	User string
	At   int64 // epoch ms
}

// NewRevocations makes one without any.
func NewRevocations() *Revocations {
	return &Revocations{byUser: NewLRU[string, int64](MaxRevoked, nil)}
}

// Note adds one at the time now: of several of one user the latest counts.
func (r *Revocations) Note(user string, at int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	isOld := func(at int64) bool { return at < now.Add(-KeepRevoked).UnixMilli() }
	DropOldest(r.byUser, isOld)
	if known, _ := r.byUser.Peek(user); at > known && !isOld(at) {
		r.byUser.Add(user, at)
	}
}

// At is when a user's tokens were revoked last, the zero time for never.
func (r *Revocations) At(user string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.byUser.Peek(user)
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(at)
}

// All is every one, the one noted longest ago first.
func (r *Revocations) All() []Revocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	users, times := r.byUser.Keys(), r.byUser.Values()
	out := make([]Revocation, len(users))
	for i, user := range users {
		out[i] = Revocation{user, times[i]}
	}
	return out
}
