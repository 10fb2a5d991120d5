package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"rollcall/rooms"
)

// A stored entry is what Redis holds of it.
type storedEntry struct {
	rooms.Entry
	// version is the owner's number for this put: they rise, whatever the
	// entry.
	version uint64
	// seq is the announcement's number.
	seq uint64
}

// In Redis an entry is a JSON object that begins with userKey and the data.
// What follows begins with tailKey, and its strings are escaped: so the last
// occurrence is the right one whatever the data contain. Neither side parses
// them: they stay as they are to the byte.
const (
	userKey = `{"user":`
	tailKey = `,"instance":`
)

// entryBody is an entry's JSON up to the announcement's number, which only
// Redis knows: the script appends it and the closing brace.
func entryBody(e rooms.Entry, version uint64) string {
	b := make([]byte, 0, len(e.Data)+len(e.Instance)+len(e.UserID)+240)
	b = append(b, userKey...)
	b = append(b, e.Data...)
	b = append(b, tailKey...)
	b = appendJSON(b, e.Instance)
	b = append(b, `,"joined_at":`...)
	b = strconv.AppendInt(b, e.JoinedAt/1000, 10)
	b = append(b, `,"id":`...)
	b = appendJSON(b, e.UserID)
	b = append(b, `,"joined":`...)
	b = strconv.AppendInt(b, e.JoinedAt, 10)
	b = append(b, `,"registered":`...)
	b = strconv.AppendInt(b, e.RegisteredAt, 10)
	if e.VisibleAt != 0 {
		b = append(b, `,"visible":`...)
		b = strconv.AppendInt(b, e.VisibleAt, 10)
	}
	if e.Status != "" {
		b = append(b, `,"status":`...)
		b = appendJSON(b, string(e.Status))
	}
	if e.StatusAt != 0 {
		b = append(b, `,"status_at":`...)
		b = strconv.AppendInt(b, e.StatusAt, 10)
	}
	b = append(b, `,"v":`...)
	b = strconv.AppendUint(b, version, 10)
	return string(b)
}

func appendJSON(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string cannot fail
	return append(b, text...)
}

var errNoEntry = errors.New("not an entry")

// parseEntry reads what a hash or an announcement holds for a place.
func parseEntry(place rooms.EntryKey, value string) (storedEntry, error) {
	end := strings.LastIndex(value, tailKey)
	if end < len(userKey) || !strings.HasPrefix(value, userKey) {
		return storedEntry{}, errNoEntry
	}
	var tail struct {
		Instance   string `json:"instance"`
		JoinedAt   int64  `json:"joined_at"` // milliseconds, for others to read
		ID         string `json:"id"`
		Joined     *int64 `json:"joined"` // none: from an older instance
		Registered int64  `json:"registered"`
		Visible    int64  `json:"visible"`
		Status     string `json:"status"`
		StatusAt   int64  `json:"status_at"`
		V          uint64 `json:"v"`
		Seq        uint64 `json:"seq"`
	}
	if err := json.Unmarshal(bytes.Join([][]byte{[]byte("{"), []byte(value[end+1:])}, nil), &tail); err != nil {
		return storedEntry{}, errNoEntry
	}
	joined := tail.JoinedAt * 1000
	if tail.Joined != nil {
		joined = *tail.Joined
	}
	return storedEntry{
		Entry: rooms.Entry{
			EntryKey:     place,
			Instance:     tail.Instance,
			UserID:       tail.ID,
			Data:         json.RawMessage(value[len(userKey):end]),
			JoinedAt:     joined,
			RegisteredAt: tail.Registered,
			VisibleAt:    tail.Visible,
			Status:       rooms.Status(tail.Status),
			StatusAt:     tail.StatusAt,
		},
		version: tail.V,
		seq:     tail.Seq,
	}, nil
}

// address is a place in one string, whatever the list and the key contain.
func address(p rooms.EntryKey) string { return strconv.Itoa(len(p.List)) + ":" + p.List + p.Key }

// parseAddress reads what address made.
func parseAddress(s string) (rooms.EntryKey, bool) {
	length, rest, ok := strings.Cut(s, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n > len(rest) {
		return rooms.EntryKey{}, false
	}
	return rooms.EntryKey{List: rest[:n], Key: rest[n:]}, true
}

const roomPrefix = "room:" // of rooms.RoomList

// publicPart is what others than instances may read of an entry: in the list
// of those online that there is one, in a chat room who it is, of the rest and
// of the hidden nothing.
func publicPart(e rooms.Entry) string {
	switch {
	case e.Status == rooms.Hidden:
		return ""
	case e.List == rooms.Online:
		return "+"
	case strings.HasPrefix(e.List, roomPrefix):
		return `{"username":` + string(e.Data) + `,"joined_at":` + strconv.FormatInt(e.JoinedAt/1000, 10) + `}`
	}
	return ""
}
