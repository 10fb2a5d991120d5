package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"rollcall/rooms"
)

// reject counts a value from Redis that cannot be shown to anybody, and logs it
// at a limited rate. The rest goes on without it.
func (r *Store) reject(err error) {
	r.counters.rejected.Add(1)
	r.rejected.Note(err)
}

// Bounds of what is taken from Redis. Those of clients are narrower; these keep
// out what no instance can have written.
const (
	maxStoredData = 1 << 20  // bytes of an entry's data
	maxStoredName = 64 << 10 // bytes of a list's name, a key or an id
	maxStoredTime = 1 << 53  // microseconds: every program can read it
)

// checkEntry says why an entry from Redis cannot be shown to clients.
func checkEntry(e rooms.Entry) error {
	switch {
	case !isText(e.Key) || !isName(e.UserID) || !isName(e.Instance):
		return errors.New("an entry without a key, a user or an instance")
	case e.List != rooms.Online && (!isName(e.List) || !strings.Contains(e.List, ":")):
		return errors.New("an entry of a list that cannot be")
	case e.Status != "" && e.Status != rooms.Active && e.Status != rooms.Away && e.Status != rooms.Hidden:
		return errors.New("an entry with an unknown status")
	case len(e.Data) > maxStoredData:
		return errors.New("an entry with too much data")
	case !json.Valid(e.Data):
		return errors.New("an entry whose data are not JSON")
	}
	for _, at := range []int64{e.JoinedAt, e.RegisteredAt, e.VisibleAt, e.StatusAt} {
		if at < 0 || at > maxStoredTime {
			return errors.New("an entry of a time that cannot be")
		}
	}
	if err := rooms.CheckJSON(e.Data); err != nil {
		return fmt.Errorf("an entry whose data %w", err)
	}
	if e.List == rooms.Online {
		return checkUser(e)
	}
	return nil
}

// checkUser says why an entry cannot be in the list of those online, where clients
// take each element for an object and find it again by its id.
func checkUser(e rooms.Entry) error {
	if data := bytes.TrimLeft(e.Data, " \t\r\n"); !bytes.HasPrefix(data, []byte("{")) {
		return errors.New("an entry whose user is no object")
	}
	if id := rooms.UserID(e.Data); id != "" && id != e.UserID {
		return errors.New("an entry whose user has another id")
	}
	return nil
}

func isText(s string) bool { return len(s) <= maxStoredName && utf8.ValidString(s) }
func isName(s string) bool { return s != "" && isText(s) }

// maxSafe is the largest integer that JavaScript has exactly.
const maxSafe = 1<<53 - 1

// checkSaid says why a message from Redis cannot be shown to clients.
func checkSaid(m rooms.ChatMessage) error {
	switch {
	case !isName(m.Room):
		return errors.New("a message without a room")
	case m.ID <= 0 || m.ID > maxSafe || m.At < 0 || m.At > maxStoredTime/1000:
		return errors.New("a message with an id or a time that cannot be")
	case len(m.Username) > maxStoredName || len(m.UserID) > maxStoredName || len(m.Content) > maxStoredData:
		return errors.New("a message that is too long")
	}
	return nil
}
