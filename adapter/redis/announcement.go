package redis

import (
	"cmp"
	"errors"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter"
	"rollcall/rooms"
)

// isMessage reports whether it is a chat message, a sign-out or a revocation.
func (a announcement) isMessage() bool {
	return a.message != nil || a.kept > 0 || a.signOut != "" || a.revoked != nil
}

// A link is an announcement's place in the chain of all: each names its number,
// the token of the call that made it, and the token of the one before.
type link struct {
	seq           uint64
	token, before string
}

// follows reports whether it is the next one behind another. Instances of an earlier
// release announce without tokens.
func (l link) follows(seq uint64, token string) bool {
	return l.seq == seq+1 && (l.token == "" || l.before == token)
}

// An announcement is one step of the shared state.
type announcement struct {
	link
	put      *storedEntry
	removed  *rooms.EntryKey
	message  *rooms.ChatMessage
	kept     int64  // the id of a message that was there already
	signOut  string // the user who is to be signed out
	revoked  *adapter.Revocation
	evicted  string // the instance that is gone with all its entries
	reset    bool   // the instance begins to rewrite everything
	whole    bool   // the instance has rewritten everything
	instance string // whose step it is
	version  uint64
	floor    uint64 // of whole: the version of its reset
	count    uint64 // of a message or a sign-out
	reason   rooms.Reason
	format   int // 1 also for releases that do not say it
}

var errNoAnnouncement = errors.New("not an announcement")

// parseAnnouncement reads an entry of the stream. An error other than
// errNoAnnouncement is of its content: link and format are valid.
func parseAnnouncement(message goredis.XMessage) (announcement, error) {
	field := func(name string) string { s, _ := message.Values[name].(string); return s }
	a := announcement{
		link:     link{seq: number(field("n")), token: field("c"), before: field("p")},
		signOut:  field("out"),
		evicted:  field("gone"),
		reset:    field("reset") != "",
		whole:    field("whole") != "",
		instance: cmp.Or(field("reset"), field("whole"), field("i")),
		version:  number(field("v")),
		floor:    number(field("r")),
		count:    number(field("w")),
		reason:   rooms.Reason(field("why")),
		format:   max(1, int(number(field("f")))),
	}
	if a.seq == 0 {
		return announcement{}, errNoAnnouncement
	}
	var err error
	switch {
	case field("rev") != "":
		var at int64
		at, err = strconv.ParseInt(field("at"), 10, 64)
		a.revoked = &adapter.Revocation{User: field("rev"), At: at}
	case field("put") != "":
		err = a.parsePut(field("put"), field("e"))
	case field("del") != "":
		place, ok := parseAddress(field("del"))
		if a.removed = &place; !ok {
			err = errNoEntry
		}
	case field("kept") != "":
		a.kept, err = strconv.ParseInt(field("kept"), 10, 64)
	case field("m") != "":
		var chat rooms.ChatMessage
		chat, err = parseMessage(field("said"), field("m"))
		a.message = &chat
	}
	return a, err
}

func (a *announcement) parsePut(at, value string) error {
	place, ok := parseAddress(at)
	if !ok {
		return errNoEntry
	}
	e, err := parseEntry(place, value)
	if err != nil {
		return err
	}
	a.put, a.instance, a.version = &e, e.Instance, e.version
	return nil
}
