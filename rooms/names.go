package rooms

import (
	"encoding/json"
	"slices"
	"strconv"
)

// maxDeltas is how many users that joined or left are sent one by one in one flush.
// More are sent as one snapshot: a burst must not cost its square.
const maxDeltas = 16

// names are the usernames in a chat room. A name joins with its first socket and
// leaves with its last. The zero value has none.
type names struct {
	byText    map[string]*name
	announced []*name // in their order
}

type name struct {
	text      json.RawMessage // a JSON string
	sockets   int
	announced bool // is in names.announced
	taken     bool // in visibleNames: came before in the list
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

// takeDeltas returns the events that lead from the announced names to those of now,
// and the snapshot for sessions that have none. Each delta shows the names as an
// application has them that appends the users who join. Should that not be the order,
// since one joined a moment before on another instance, the snapshot comes last.
func (n *names) takeDeltas(room string, now []*name) (deltas []memberDelta, snapshot Event) {
	title := encode(room)
	snapshot = Event{"user_list", []json.RawMessage{roomObject(title, nil, now)}}
	left := slices.DeleteFunc(slices.Clone(n.announced), func(one *name) bool { return one.sockets > 0 })
	joined := slices.DeleteFunc(slices.Clone(now), func(one *name) bool { return one.announced })
	shown := n.announced
	n.announced = now
	for _, one := range joined {
		one.announced = true
	}
	if len(left)+len(joined) > maxDeltas {
		return []memberDelta{{nil, snapshot}}, snapshot
	}
	add := func(event string, of *name) {
		deltas = append(deltas, memberDelta{of, Event{event, []json.RawMessage{roomObject(title, of, shown)}}})
	}
	for _, one := range left {
		shown = slices.DeleteFunc(slices.Clone(shown), func(other *name) bool { return other == one })
		add("user_left", one)
	}
	for _, one := range joined {
		shown = append(slices.Clip(shown), one)
		add("user_joined", one)
	}
	if !slices.Equal(shown, now) {
		deltas = append(deltas, memberDelta{nil, snapshot})
	}
	return deltas, snapshot
}

// roomObject is {room, username?, users, count}.
func roomObject(title json.RawMessage, of *name, users []*name) json.RawMessage {
	out := append([]byte(`{"room":`), title...)
	if of != nil {
		out = append(append(out, `,"username":`...), of.text...)
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
