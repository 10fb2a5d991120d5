package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"rollcall/rooms"
)

// A stored entry is what Redis holds of it.
type storedEntry struct {
	rooms.Entry
	version uint64 // of the put in its owner's log
	seq     uint64 // the number of its announcement
}

// In Redis an entry is a JSON object that begins with userKey and the data.
// What follows begins with tailKey, and its strings are escaped: so the last
// occurrence is the right one whatever the data contain. The data stay the same to
// the byte.
const (
	userKey = `{"user":`
	tailKey = `,"instance":`
)

// An entryTail is what follows the data. Times are epoch microseconds.
type entryTail struct {
	Instance   string `json:"instance"`
	JoinedMS   int64  `json:"joined_at"` // milliseconds, for others to read
	ID         string `json:"id"`
	Joined     *int64 `json:"joined"` // nil: from an older instance
	Registered int64  `json:"registered"`
	Visible    int64  `json:"visible,omitempty"`
	Status     string `json:"status,omitempty"`
	StatusAt   int64  `json:"status_at,omitempty"`
	Version    uint64 `json:"v"`
	Seq        uint64 `json:"seq,omitempty"`
}

// entryBody is an entry's JSON up to the announcement's number, which only
// Redis knows: the script appends it and the closing brace.
func entryBody(e rooms.Entry, version uint64) string {
	tail, _ := json.Marshal(entryTail{ // strings and numbers cannot fail
		Instance:   e.Instance,
		JoinedMS:   e.JoinedAt / 1000,
		ID:         e.UserID,
		Joined:     &e.JoinedAt,
		Registered: e.RegisteredAt,
		Visible:    e.VisibleAt,
		Status:     string(e.Status),
		StatusAt:   e.StatusAt,
		Version:    version,
	})
	return userKey + string(e.Data) + "," + string(tail[1:len(tail)-1])
}

var errNoEntry = errors.New("not an entry")

// parseEntry reads the value of an entry in a hash or an announcement.
func parseEntry(place rooms.EntryKey, value string) (storedEntry, error) {
	end := strings.LastIndex(value, tailKey)
	if end < len(userKey) || !strings.HasPrefix(value, userKey) {
		return storedEntry{}, errNoEntry
	}
	var tail entryTail
	if err := json.Unmarshal([]byte("{"+value[end+1:]), &tail); err != nil {
		return storedEntry{}, errNoEntry
	}
	joined := tail.JoinedMS * 1000
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
		version: tail.Version,
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

// publicPart is what other programs may read of an entry: in the list Online that
// there is one, in a chat room the member, "" for nothing: in other lists, and of
// hidden users.
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

// A storedMessage is a chat message in Redis: the script puts id and at before the rest.
type storedMessage struct {
	ID       int64  `json:"id,omitempty"`
	At       int64  `json:"at,omitempty"`
	UserID   string `json:"user_id,omitempty"`
	Username string `json:"username"`
	Content  string `json:"content"`
}

// messageBody is the JSON of a message behind its id and time.
func messageBody(m rooms.ChatPost) string {
	text, _ := json.Marshal(storedMessage{UserID: m.UserID, Username: m.Username, Content: m.Content}) // strings cannot fail
	return string(text[1:])
}

func parseMessage(room, body string) (rooms.ChatMessage, error) {
	var m storedMessage
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return rooms.ChatMessage{}, err
	}
	message := rooms.ChatMessage{Room: room, ID: m.ID, UserID: m.UserID, Username: m.Username, Content: m.Content, At: m.At}
	return message, checkMessage(message)
}

// Bounds of what is taken from Redis. Those of clients are narrower; these reject
// what no instance can have written.
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

// checkUser says why an entry cannot be in the list Online, where clients take each
// element for an object and find it again by its id.
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

// checkMessage says why a message from Redis cannot be shown to clients.
func checkMessage(m rooms.ChatMessage) error {
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
