package rooms

import (
	"bytes"
	"encoding/json"
)

// invite hands an invitation to the sockets of the invited user; in strict
// mode to everybody, who keep it if it is theirs.
func (r *Rooms) invite(_ *session, args []json.RawMessage) (map[string]any, error) {
	if len(args) > 0 {
		if err := checkValue("bad_invite", "The invitation", args[0]); err != nil {
			return nil, err
		}
	}
	if r.options.Strict {
		r.publish(Broadcast{Event: Event{"invite", firstArg(args)}})
		return nil, nil
	}
	id, err := idText(fields(args)["id"])
	if err != nil || id == "" {
		return nil, &Refusal{"bad_invite", "invite needs an object with the id of the invited user."}
	}
	r.publish(Broadcast{Event: Event{"invite", firstArg(args)}, Rooms: []string{UserRoom(id)}})
	return nil, nil
}

// firstArg is an event's one argument, as JavaScript would pass it on.
func firstArg(args []json.RawMessage) []json.RawMessage {
	if len(args) == 0 {
		return []json.RawMessage{[]byte("null")}
	}
	return []json.RawMessage{bytes.Clone(args[0])}
}
