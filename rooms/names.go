package rooms

import (
	"encoding/json"
	"slices"
	"strconv"
)

// maxTold is how many comings and goings a room is told one by one in one
// flush. More are told as one list: a storm must not cost its square.
const maxTold = 16

// names are the usernames in a chat room. A name has arrived with its first
// socket and is gone with its last. The zero value has none.
type names struct {
	byText map[string]*name
	// told are the names that the members were told last, in their order.
	told []*name
	walk int // counts the walks of roster.present
}

type name struct {
	text    json.RawMessage // a JSON string
	sockets int
	told    bool // is in names.told
	walk    int  // the last one that met it
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
		delete(n.byText, string(one.text))
	}
}

// tell returns the events that bring members from what they were told last to
// what is now, and one event with the whole for those who were told nothing yet.
func (n *names) tell(room string, now []*name) (steps []step, whole Event) {
	title := encode(room)
	whole = Event{"user_list", []json.RawMessage{roomObject(title, nil, now)}}
	var left, joined []*name
	shown := slices.Clone(n.told)
	stayed := slices.DeleteFunc(slices.Clone(n.told), func(one *name) bool { return one.sockets == 0 })
	for _, one := range n.told {
		if one.sockets == 0 {
			left = append(left, one)
		}
	}
	known := make([]*name, 0, len(stayed)) // stayed in the order of now
	for _, one := range now {
		if one.told {
			known = append(known, one)
		} else {
			joined = append(joined, one)
		}
	}
	moved := !slices.Equal(known, stayed)
	defer func() {
		for _, one := range joined {
			one.told = true
		}
		n.told = now
	}()
	if len(left)+len(joined) > maxTold {
		return []step{{nil, whole}}, whole
	}
	for _, one := range left {
		shown = slices.DeleteFunc(shown, func(other *name) bool { return other == one })
		steps = append(steps, step{one, Event{"user_left", []json.RawMessage{roomObject(title, one, shown)}}})
	}
	for _, one := range joined {
		one.told = true
		users := slices.DeleteFunc(slices.Clone(now), func(other *name) bool { return !other.told })
		steps = append(steps, step{one, Event{"user_joined", []json.RawMessage{roomObject(title, one, users)}}})
	}
	if moved && len(joined) == 0 { // else the last step shows the order
		steps = append(steps, step{nil, whole})
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
