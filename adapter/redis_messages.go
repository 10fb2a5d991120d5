package adapter

import (
	"context"
	"encoding/json"

	"rollcall/rooms"
)

var errUnavailable = &rooms.Refusal{Code: "unavailable", Message: "This cannot be done now. Please try again in a moment."}

// Say implements rooms.Store. The message takes its place in the order of all
// when Redis has it; from there it comes back to the own watchers too.
func (r *Redis) Say(room, username, content string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := rooms.Said{Room: room, ID: r.others.said, Username: username, Content: content}
	if r.closed || r.health.gone || !r.own.speak(op{kind: opSay, said: said}) {
		return errUnavailable
	}
	r.wakeWriter()
	return nil
}

// SignOut implements rooms.Store. Without Redis the others hear of it when it
// is back; of too many at once they do not, and the log says so.
func (r *Redis) SignOut(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.replica.tell(rooms.Change{SignOut: user})
	if !r.own.speak(op{kind: opSignOut, user: user}) {
		r.log.Error("too much is waiting for Redis: the other instances do not sign a user out")
		return
	}
	r.wakeWriter()
}

// History implements rooms.Records.
func (r *Redis) History(ctx context.Context, room string) ([]rooms.Said, error) {
	reply, err := r.recall(ctx, historyScript, room)
	if err != nil {
		return nil, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 2 {
		return nil, errUnavailable
	}
	now, _ := parts[0].(int64)
	var all []rooms.Said
	for _, body := range texts(parts[1]) {
		if said, err := parseSaid(room, body); err == nil { // else somebody else wrote it
			all = append(all, said)
		}
	}
	return fresh(all, now-keepHistory.Milliseconds()), nil
}

// A message in Redis: the script puts id and at before the rest.
type storedSaid struct {
	ID       int64  `json:"id,omitempty"`
	At       int64  `json:"at,omitempty"`
	Username string `json:"username"`
	Content  string `json:"content"`
}

// saidBody is the JSON of a message behind its id and time.
func saidBody(m rooms.Said) string {
	text, _ := json.Marshal(storedSaid{Username: m.Username, Content: m.Content}) // strings cannot fail
	return string(text[1:])
}

func parseSaid(room, body string) (rooms.Said, error) {
	var m storedSaid
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return rooms.Said{}, err
	}
	return rooms.Said{Room: room, ID: m.ID, Username: m.Username, Content: m.Content, At: m.At}, nil
}
