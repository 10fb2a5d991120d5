package rooms

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// chat is chat rooms. A session that is in one has an entry in its list.
type chat struct{ *core }

// The limits of PROTOCOL.md, section 8.
const (
	maxRooms    = 50
	maxRoomName = 128   // bytes
	maxUsername = 64    // characters
	maxContent  = 4_000 // characters
	maxNonce    = 64    // characters
)

const (
	defaultUsername = "Guest"
	postTimeout     = 5 * time.Second // how long an acknowledgement waits for a message's id
)

var (
	errNotInRoom   = &Refusal{"not_in_room", "You are not in this room: join it first."}
	errUnconfirmed = &Refusal{"unavailable",
		"It is not sure that the message was kept. Send it again with the same nonce: then it is kept once."}
	errTooManyRooms = &Refusal{"too_many_rooms", fmt.Sprintf("A socket can be in %d rooms at most.", maxRooms)}
)

// nameOf reads what a room, a stage or a race is called: a string or a number.
func nameOf(value json.RawMessage) (string, bool) {
	text, err := idText(value)
	return text, err == nil && text != "" && len(text) <= maxRoomName && utf8.ValidString(text)
}

// roomOf reads the argument of an event about a room.
func roomOf(args []json.RawMessage) (room string, f map[string]json.RawMessage, err error) {
	f = fields(args...)
	room, ok := nameOf(f["room"])
	if !ok {
		return "", nil, &Refusal{"bad_room", fmt.Sprintf("room must be a name of 1 to %d bytes.", maxRoomName)}
	}
	return room, f, nil
}

// join enters a chat room, or renames the member. The session gets user_list.
func (c *chat) join(s *session, args []json.RawMessage) (map[string]any, error) {
	room, f, err := roomOf(args)
	if err != nil {
		return nil, err
	}
	username, err := s.usernameByToken(f)
	if err != nil {
		return nil, err
	}
	key := EntryKey{RoomList(room), s.id}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, in := s.entries[key]
	if !in {
		joined := len(s.entries) // of chat rooms, but for one
		if s.registered.Load() {
			joined--
		}
		if joined >= maxRooms {
			return nil, errTooManyRooms
		}
		e = Entry{EntryKey: key, Instance: c.options.Instance, UserID: s.id}
	}
	name := encode(username)
	if string(e.Data) != string(name) { // renaming is leaving and joining
		e.Data, e.JoinedAt = name, 0
	}
	if err := c.putEntry(s, e); err != nil {
		return nil, err
	}
	c.markReturned(e, s.key) // after the new entry: the member was never away
	return map[string]any{"room": room, "username": username}, nil
}

// usernameByToken is the name that a session enters a chat room with: the token's, if
// its user has one. It returns a Refusal with code forbidden for another name, or for a
// user with other fields than the token's.
func (s *session) usernameByToken(f map[string]json.RawMessage) (string, error) {
	username, err := usernameOf(f)
	if err != nil || len(s.token) == 0 {
		return username, err
	}
	if user := f["user"]; len(user) > 0 && user[0] == '{' {
		if _, err := withToken(s.token, user); err != nil {
			return "", err
		}
	}
	name := chatName(s.token)
	if name == "" {
		return username, nil
	}
	var wanted string
	_ = json.Unmarshal(f["username"], &wanted) // none is ""
	if cmp.Or(strings.TrimSpace(wanted), name) != name {
		return "", &Refusal{"forbidden", `The field "username" is another than the name in your token.`}
	}
	return name, nil
}

// usernameOf reads the name that a client wants in a chat room: username, or the user's.
func usernameOf(f map[string]json.RawMessage) (string, error) {
	if err := checkValue("bad_user", "The user", f["user"]); err != nil {
		return "", err
	}
	user := fields(f["user"])
	for _, value := range []json.RawMessage{f["username"], user["username"], user["nickname"], user["name"]} {
		if err := checkValue("bad_username", "username", value); err != nil {
			return "", err
		}
		var text string // null is ""
		if len(value) > 0 && json.Unmarshal(value, &text) != nil || utf8.RuneCountInString(text) > maxUsername {
			return "", &Refusal{"bad_username", fmt.Sprintf("username must be a string of at most %d characters.", maxUsername)}
		}
		if name := strings.TrimSpace(text); name != "" {
			return name, nil
		}
	}
	return defaultUsername, nil
}

// chatName is a token's name in chat rooms: the first text of username, nickname and
// name that is not blank, "" if there is none.
func chatName(user json.RawMessage) string {
	f := fields(user)
	for _, value := range []json.RawMessage{f["username"], f["nickname"], f["name"]} {
		var text string
		_ = json.Unmarshal(value, &text) // none is ""
		if runes := []rune(strings.TrimSpace(text)); len(runes) > 0 {
			return strings.TrimSpace(string(runes[:min(len(runes), maxUsername)]))
		}
	}
	return ""
}

func (c *chat) leave(s *session, args []json.RawMessage) (map[string]any, error) {
	room, _, err := roomOf(args)
	if err != nil {
		return nil, err
	}
	key := EntryKey{RoomList(room), s.id}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := s.entries[key]
	if !c.removeEntry(s, key, Closed) {
		return nil, errNotInRoom
	}
	c.release(e, s.key, Closed)
	return nil, nil
}

// An author is the user of a session in a chat room.
type author struct {
	room     string
	username json.RawMessage
	hidden   bool
	// id is the user's, "" without one. Without a token origin is the connection, since
	// any client can say any id.
	id     string
	origin Origin
}

// author reads the argument of an event about a room that s is in. It takes the lock.
func (c *chat) author(s *session, args []json.RawMessage) (out author, f map[string]json.RawMessage, err error) {
	room, f, err := roomOf(args)
	if err != nil {
		return out, f, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := s.entries[EntryKey{RoomList(room), s.id}]
	if !ok {
		return out, f, errNotInRoom
	}
	out = author{room, e.Data, s.status == Hidden, "", Origin{Address: s.address, Client: s.id}}
	switch {
	case s.tokenKey != (userKey{}):
		out.id, out.origin = s.tokenKey.id, Origin{Address: UserRoom(s.tokenKey.id)}
	case s.registered.Load() && !s.key.anonymous:
		out.id = s.key.id
	}
	return out, f, nil
}

// typing is published to the others in the chat room, unless the user is hidden.
func (c *chat) typing(s *session, args []json.RawMessage) (map[string]any, error) {
	from, _, err := c.author(s, args)
	if err != nil || from.hidden {
		return nil, err
	}
	c.options.Bus.Publish(Broadcast{
		Event: Event{"typing", []json.RawMessage{encode(struct {
			Room     string          `json:"room"`
			Username json.RawMessage `json:"username"`
			UserID   string          `json:"user_id,omitempty"`
		}{from.room, from.username, from.id})}},
		Rooms:  []string{RoomList(from.room)},
		Except: []string{s.id},
	})
	return nil, nil
}

// message posts a chat message under the name that was joined with.
func (c *chat) message(s *session, args []json.RawMessage) (map[string]any, error) {
	from, f, err := c.author(s, args)
	if err != nil {
		return nil, err
	}
	if err := checkValue("bad_message", "content", f["content"]); err != nil {
		return nil, err
	}
	var username, content string
	_ = json.Unmarshal(from.username, &username) // ours
	if json.Unmarshal(f["content"], &content) != nil ||
		strings.TrimSpace(content) == "" || utf8.RuneCountInString(content) > maxContent {
		return nil, &Refusal{"bad_message", fmt.Sprintf("content must be a text of 1 to %d characters.", maxContent)}
	}
	nonce, err := idText(f["nonce"])
	if err != nil || utf8.RuneCountInString(nonce) > maxNonce {
		return nil, &Refusal{"bad_message", fmt.Sprintf("nonce must be a text of at most %d characters.", maxNonce)}
	}
	post := ChatPost{Room: from.room, UserID: from.id, Username: username, Content: content, Nonce: nonce, From: from.origin}
	kept, err := c.store.PostMessage(post)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(postTimeout)
	defer timeout.Stop()
	select {
	case id := <-kept:
		return map[string]any{"id": id}, nil
	case <-timeout.C:
		return nil, errUnconfirmed
	}
}

// event is what the members of the room get.
func (m ChatMessage) event() Event {
	return Event{"message", []json.RawMessage{encode(struct {
		Room string      `json:"room"`
		Data ChatMessage `json:"data"`
	}{m.Room, m})}}
}

// MarshalJSON is a message as clients see it.
func (m ChatMessage) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID        int64  `json:"id"`
		UserID    string `json:"user_id,omitempty"`
		Username  string `json:"username"`
		Content   string `json:"content"`
		Timestamp string `json:"timestamp"`
	}{m.ID, m.UserID, m.Username, m.Content, time.UnixMilli(m.At).UTC().Format("2006-01-02T15:04:05.000Z")})
}
