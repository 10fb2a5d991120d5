package adapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"rollcall/rooms"
)

// A stored entry is what the shared hash holds of it.
type storedEntry struct {
	rooms.Entry
	// version is the owner's number for this put: they rise, whatever the
	// socket.
	version uint64
	// seq is the announcement's number.
	seq uint64
}

// In Redis an entry is a JSON object that begins with userKey and the user.
// What follows begins with tailKey, and its strings are escaped: so the last
// occurrence is the right one whatever the user contains. Neither side parses
// the user, which stays as it is to the byte.
const (
	userKey = `{"user":`
	tailKey = `,"instance":`
)

// entryBody is an entry's JSON up to the announcement's number, which only
// Redis knows: the script appends it and the closing brace.
func entryBody(e rooms.Entry, version uint64) string {
	b := make([]byte, 0, len(e.Data)+len(e.Instance)+len(e.UserID)+96)
	b = append(b, userKey...)
	b = append(b, e.Data...)
	b = append(b, tailKey...)
	b = appendJSON(b, e.Instance)
	b = append(b, `,"joined_at":`...)
	b = strconv.AppendInt(b, e.JoinedAt, 10)
	b = append(b, `,"id":`...)
	b = appendJSON(b, e.UserID)
	b = append(b, `,"v":`...)
	b = strconv.AppendUint(b, version, 10)
	return string(b)
}

func appendJSON(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string cannot fail
	return append(b, text...)
}

var errNoEntry = errors.New("not an entry")

// parseEntry reads what the hash or an announcement holds for a socket.
func parseEntry(socket, value string) (storedEntry, error) {
	end := strings.LastIndex(value, tailKey)
	if end < len(userKey) || !strings.HasPrefix(value, userKey) {
		return storedEntry{}, errNoEntry
	}
	var tail struct {
		Instance string `json:"instance"`
		JoinedAt int64  `json:"joined_at"`
		ID       string `json:"id"`
		V        uint64 `json:"v"`
		Seq      uint64 `json:"seq"`
	}
	if err := json.Unmarshal(bytes.Join([][]byte{[]byte("{"), []byte(value[end+1:])}, nil), &tail); err != nil {
		return storedEntry{}, errNoEntry
	}
	return storedEntry{
		Entry: rooms.Entry{
			Place:    rooms.Place{Key: socket},
			Instance: tail.Instance,
			UserID:   tail.ID,
			Data:     json.RawMessage(value[len(userKey):end]),
			JoinedAt: tail.JoinedAt,
		},
		version: tail.V,
		seq:     tail.Seq,
	}, nil
}
