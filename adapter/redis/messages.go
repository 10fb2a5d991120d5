package redis

import (
	"context"
	"encoding/json"
	"time"

	"rollcall/adapter"
	"rollcall/rooms"
)

var errUnavailable = &rooms.Refusal{Code: "unavailable", Message: "This cannot be done now. Please try again in a moment."}

// PostMessage implements rooms.Store. The message takes its place in the order of all
// when Redis has it; from there it comes back to the own watchers too.
func (r *Store) PostMessage(message rooms.ChatPost) (<-chan int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.health.down || !r.own.enqueueMessage(op{kind: opSay, said: message, after: r.others.said}) {
		return nil, errUnavailable
	}
	r.wakeWriter()
	return r.own.await(r.timing.Now()), nil
}

// A waiter waits for the id of a message that is on its way to Redis.
type waiter struct {
	kept  chan int64
	since time.Time
}

// maxWait is after what time an id is not waited for any more: Redis has lost
// the message.
const maxWait = time.Minute

// await waits for the id of the message that was queued last.
func (o *ownState) await(now time.Time) <-chan int64 {
	if len(o.waiting) >= maxMessages { // some of these have no message in the queue any more
		for count, one := range o.waiting {
			if now.Sub(one.since) > maxWait || len(o.waiting) >= 2*maxMessages {
				delete(o.waiting, count)
			}
		}
	}
	kept := make(chan int64, 1)
	o.waiting[o.count] = waiter{kept, now}
	return kept
}

// kept tells the id of an own message that Redis has.
func (o *ownState) kept(count uint64, id int64) {
	if one, ok := o.waiting[count]; ok {
		delete(o.waiting, count)
		one.kept <- id
	}
}

// ownerTag names the client who answers for a message's room, for the script.
func ownerTag(from rooms.Origin) string {
	return adapter.Digest(from.Address) + "." + adapter.Digest(from.Client)
}

// SignOut implements rooms.Store. Without Redis the others hear of it when it
// is back; of too many at once they do not, and the log says so.
func (r *Store) SignOut(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if !r.own.enqueueMessage(op{kind: opSignOut, user: user}) {
		r.log.Error("too much is waiting for Redis: the other instances do not sign a user out")
		return
	}
	r.wakeWriter()
}

// History implements rooms.Records.
func (r *Store) History(ctx context.Context, room string) ([]rooms.ChatMessage, error) {
	reply, err := r.query(ctx, r.scripts.history, room)
	if err != nil {
		return nil, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 2 {
		return nil, errUnavailable
	}
	now, _ := parts[0].(int64)
	var all []rooms.ChatMessage
	for _, body := range texts(parts[1]) {
		if said, err := parseSaid(room, body); err == nil { // else somebody else wrote it
			all = append(all, said)
		}
	}
	return adapter.NotBefore(all, now-adapter.KeepHistory.Milliseconds()), nil
}

// A message in Redis: the script puts id and at before the rest.
type storedSaid struct {
	ID       int64  `json:"id,omitempty"`
	At       int64  `json:"at,omitempty"`
	UserID   string `json:"user_id,omitempty"`
	Username string `json:"username"`
	Content  string `json:"content"`
}

// saidBody is the JSON of a message behind its id and time.
func saidBody(m rooms.ChatPost) string {
	text, _ := json.Marshal(storedSaid{UserID: m.UserID, Username: m.Username, Content: m.Content}) // strings cannot fail
	return string(text[1:])
}

func parseSaid(room, body string) (rooms.ChatMessage, error) {
	var m storedSaid
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return rooms.ChatMessage{}, err
	}
	said := rooms.ChatMessage{Room: room, ID: m.ID, UserID: m.UserID, Username: m.Username, Content: m.Content, At: m.At}
	return said, checkSaid(said)
}
