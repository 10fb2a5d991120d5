package rooms

import (
	"container/list"
	"encoding/json"
	"strconv"
)

// maxTold is how many comings and goings a room is told one by one in one
// flush. More are told as one list: a storm must not cost its square.
const maxTold = 16

// names are the usernames in a chat room, each once, in order of arrival. A
// name has arrived with its first socket and is gone with its last. The zero
// value has none.
type names struct {
	byText map[string]*name
	order  list.List // of *name
	// told are the names that the members were told last, in their order.
	told []*name
}

type name struct {
	text    json.RawMessage // a JSON string
	sockets int
	place   *list.Element // in names.order
}

// String is the name as text.
func (one *name) String() (text string) {
	_ = json.Unmarshal(one.text, &text) // it was made by encode
	return text
}

func (n *names) add(text json.RawMessage) *name {
	one := n.byText[string(text)]
	if one == nil {
		one = &name{text: text}
		one.place = n.order.PushBack(one)
		if n.byText == nil {
			n.byText = make(map[string]*name)
		}
		n.byText[string(text)] = one
	}
	one.sockets++
	return one
}

func (n *names) drop(one *name) {
	if one.sockets--; one.sockets == 0 {
		n.order.Remove(one.place)
		delete(n.byText, string(one.text))
	}
}

func (n *names) all() []*name {
	out := make([]*name, 0, n.order.Len())
	for place := n.order.Front(); place != nil; place = place.Next() {
		out = append(out, place.Value.(*name))
	}
	return out
}

// tell returns the events that bring members from what they were told last to
// what is, and one event with the whole for those who were told nothing yet.
func (n *names) tell(room string) (steps []Event, whole Event) {
	now := n.all()
	title := encode(room)
	whole = Event{"user_list", []json.RawMessage{roomObject(title, nil, now)}}
	// Names arrive at the end and nobody's place changes: who is told and still
	// there is the beginning of now, in the same order.
	stayed := make([]*name, 0, len(now))
	var left []*name
	for _, one := range n.told {
		if one.sockets == 0 {
			left = append(left, one)
		} else {
			stayed = append(stayed, one)
		}
	}
	joined := now[len(stayed):]
	shown := n.told
	n.told = now
	if len(left)+len(joined) > maxTold {
		return []Event{whole}, whole
	}
	for _, one := range left {
		rest := make([]*name, 0, len(shown))
		for _, other := range shown {
			if other != one {
				rest = append(rest, other)
			}
		}
		shown = rest
		steps = append(steps, Event{"user_left", []json.RawMessage{roomObject(title, one, shown)}})
	}
	for i, one := range joined {
		steps = append(steps, Event{"user_joined", []json.RawMessage{roomObject(title, one, now[:len(stayed)+i+1])}})
	}
	return steps, whole
}

// roomObject is {room, username?, users, count}.
func roomObject(title json.RawMessage, who *name, users []*name) json.RawMessage {
	out := append([]byte(`{"room":`), title...)
	if who != nil {
		out = append(append(out, `,"username":`...), who.text...)
	}
	out = append(out, `,"users":[`...)
	for i, one := range users {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, one.text...)
	}
	out = append(out, `],"count":`...)
	return append(strconv.AppendInt(out, int64(len(users)), 10), '}')
}
