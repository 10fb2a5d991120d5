package rooms

import (
	"encoding/json"
	"slices"
	"strconv"
)

// maxDeltas is how many comings and goings a room is told one by one in one
// flush. More are told as one list: a storm must not cost its square.
const maxDeltas = 16

// names are the usernames in a chat room. A name has arrived with its first
// socket and is gone with its last. The zero value has none.
type names struct {
	byText map[string]*name
	// announced are the names that the members were told last, in their order.
	announced []*name
	walk      int // counts the walks of list.present
}

type name struct {
	text      json.RawMessage // a JSON string
	sockets   int
	announced bool // is in names.told
	walk      int  // the last one that met it
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

func (n *names) remove(one *name) {
	if one.sockets--; one.sockets == 0 {
		delete(n.byText, string(one.text))
	}
}

// takeDeltas returns the events that bring members from what they were told last to
// what is now, and one event with the whole for those who were told nothing yet.
// Each step shows the names as an application would have them that appends who
// joins. Should that not be the order, since somebody joined a moment before on
// another instance, the whole comes last.
func (n *names) takeDeltas(room string, now []*name) (steps []memberDelta, whole Event) {
	title := encode(room)
	whole = Event{"user_list", []json.RawMessage{roomObject(title, nil, now)}}
	left := slices.DeleteFunc(slices.Clone(n.announced), func(one *name) bool { return one.sockets > 0 })
	joined := slices.DeleteFunc(slices.Clone(now), func(one *name) bool { return one.announced })
	shown := n.announced
	n.announced = now
	for _, one := range joined {
		one.announced = true
	}
	if len(left)+len(joined) > maxDeltas {
		return []memberDelta{{nil, whole}}, whole
	}
	say := func(event string, of *name) {
		steps = append(steps, memberDelta{of, Event{event, []json.RawMessage{roomObject(title, of, shown)}}})
	}
	for _, one := range left {
		shown = slices.DeleteFunc(slices.Clone(shown), func(other *name) bool { return other == one })
		say("user_left", one)
	}
	for _, one := range joined {
		shown = append(slices.Clip(shown), one)
		say("user_joined", one)
	}
	if !slices.Equal(shown, now) {
		steps = append(steps, memberDelta{nil, whole})
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
