package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A handler handles one event of a session. The map it returns is added to the
// acknowledgement and may be nil.
type handler func(s *session, args []json.RawMessage) (map[string]any, error)

// eventHandlers are those of the events that clients may send, but for those whose
// name has a parameter (namedEvent).
func (r *Rooms) eventHandlers() map[string]handler {
	return map[string]handler{
		"register":   r.users.register,
		"unregister": r.users.unregister,
		"sync":       r.users.sync,
		"renew":      r.tokens.renew,

		"heartbeat": r.statuses.heartbeat,
		"status":    r.statuses.choose,

		"join":    r.chat.join,
		"leave":   r.chat.leave,
		"typing":  r.chat.typing,
		"message": r.chat.message,

		"invite":      r.invite,
		"join_stage":  r.racing.joinStage,
		"add_car":     r.racing.addCar,
		"watch_stage": r.racing.watchStage,
		"watch_race":  r.racing.watchRace,
	}
}

// The kinds of events whose name has a parameter, such as start_race_7.
const (
	startRaceEvents   = "start_race_*"
	updateSpeedEvents = "update_*_speed"
	stageEvents       = "update_stage_*"
	raceEvents        = "race_*_update"
)

// namedEvent finds the handler of an event whose name has a parameter, and its kind.
func (r *Rooms) namedEvent(event string) (h handler, kind string) {
	if token, ok := strings.CutPrefix(event, "start_race_"); ok {
		return r.racing.startRace(token), startRaceEvents
	}
	if rest, ok := strings.CutPrefix(event, "update_"); ok {
		if race, ok := strings.CutSuffix(rest, "_speed"); ok {
			return r.racing.updateSpeed(race), updateSpeedEvents
		}
	}
	return nil, ""
}

// noRooms knows the names of events: they are the same in every Rooms.
var noRooms Rooms

// passive are the events that do not show that the user is active.
var passive = map[string]bool{"status": true, "unregister": true, "renew": true}

// plainEvents are the events that clients may send, but for those with a parameter.
var plainEvents = noRooms.eventHandlers()

// Events names the events that clients may send, sorted, those with a parameter by kind.
func Events() []string {
	events := append(slices.Collect(maps.Keys(plainEvents)), startRaceEvents, updateSpeedEvents)
	slices.Sort(events)
	return events
}

// EventKind is what an event is called in Events, "" if clients may not send it.
func EventKind(event string) string {
	if _, kind := noRooms.namedEvent(event); kind != "" {
		return kind
	}
	if plainEvents[event] != nil {
		return event
	}
	return ""
}

// EventsSent names the events that clients are sent, those with a parameter by kind.
// POST /api/emit and emitters may send any other.
func EventsSent() []string {
	return []string{
		"online_users", "add_user", "update_user", "remove_user", "online_count", "updateOnlineUsers",
		"user_list", "user_joined", "user_left", "typing", "message",
		"invite", stageEvents, raceEvents, startRaceEvents, updateSpeedEvents,
	}
}

// sentKind is what an event is called in EventsSent, or else its own name.
func sentKind(event string) string {
	if strings.HasPrefix(event, "update_stage_") {
		return stageEvents
	}
	if strings.HasPrefix(event, "race_") && strings.HasSuffix(event, "_update") {
		return raceEvents
	}
	if _, kind := noRooms.namedEvent(event); kind != "" {
		return kind
	}
	return event
}

// reserved are the names that are Socket.IO's own: neither side may send such events.
var reserved = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true,
	"disconnecting": true, "newListener": true, "removeListener": true,
}

// Reserved reports whether an event name is Socket.IO's own.
func Reserved(event string) bool { return reserved[event] }

// CheckEvent returns a Refusal with code bad_event for a name that no server may send.
func CheckEvent(name string) error {
	switch {
	case name == "":
		return &Refusal{"bad_event", "The event has no name."}
	case reserved[name]:
		return &Refusal{"bad_event", fmt.Sprintf("The event name %q is reserved.", name)}
	}
	return nil
}

// invite publishes an invitation to the sockets of the invited user; in strict mode to
// all, whose applications keep it if it is theirs.
func (r *Rooms) invite(_ *session, args []json.RawMessage) (map[string]any, error) {
	if len(args) > 0 {
		if err := checkValue("bad_invite", "The invitation", args[0]); err != nil {
			return nil, err
		}
	}
	invitation := Broadcast{Event: Event{"invite", firstArg(args)}}
	if !r.options.Strict {
		id, err := idText(fields(args...)["id"])
		if err != nil || id == "" {
			return nil, &Refusal{"bad_invite", "invite needs an object with the id of the invited user."}
		}
		invitation.Rooms = []string{UserRoom(id)}
	}
	r.options.Bus.Publish(invitation)
	return nil, nil
}

// firstArg is an event's one argument, as JavaScript would pass it on.
func firstArg(args []json.RawMessage) []json.RawMessage {
	if len(args) == 0 {
		return []json.RawMessage{[]byte("null")}
	}
	return []json.RawMessage{bytes.Clone(args[0])}
}
