package rooms

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file is the events that clients may send, and who answers them.

// A handler answers one event of a session. The map it returns is added to
// the acknowledgement and may be nil.
type handler func(r *Rooms, s *session, args []json.RawMessage) (map[string]any, error)

// handlers are the events that clients may send, but for those with a name in
// their name: see named.
var handlers = map[string]handler{
	"register":   (*Rooms).register,
	"unregister": (*Rooms).unregister,
	"sync":       (*Rooms).sync,
	"renew":      (*Rooms).renew,

	"heartbeat": (*Rooms).heartbeat,
	"status":    (*Rooms).chooseStatus,

	"join":    (*Rooms).join,
	"leave":   (*Rooms).leaveRoom,
	"typing":  (*Rooms).typing,
	"message": (*Rooms).message,

	"invite":      (*Rooms).invite,
	"join_stage":  (*Rooms).joinStage,
	"add_car":     (*Rooms).addCar,
	"watch_stage": (*Rooms).watchStage,
	"watch_race":  (*Rooms).watchRace,
}

// passive are the events that do not show that the user is active.
var passive = map[string]bool{"status": true, "unregister": true, "renew": true}

// Events names the events that clients may send, sorted: those with a name in
// their name by their kind.
func Events() []string {
	return slices.Sorted(maps.Keys(eventKinds))
}

// eventKinds are the names of Events.
var eventKinds = func() map[string]bool {
	out := map[string]bool{startRaceEvents: true, updateSpeedEvents: true}
	for name := range handlers {
		out[name] = true
	}
	return out
}()

// EventKind is what an event is called in Events, "" if clients may not send it.
func EventKind(event string) string {
	if _, ok := handlers[event]; ok {
		return event
	}
	_, kind := namedEvent(event)
	return kind
}

var errBinary = &Refusal{"binary_not_supported", "Events carry JSON only."}

// Handle answers one of Events. It returns a Refusal with code unknown_event for
// any other, with binary_not_supported for one with attachments, and with
// not_connected if the socket is gone.
func (s *session) Handle(event string, args []json.RawMessage, attachments [][]byte) (map[string]any, error) {
	if len(attachments) > 0 {
		return nil, errBinary
	}
	handle := handlers[event]
	if handle == nil {
		handle, _ = namedEvent(event)
	}
	if handle == nil {
		return nil, &Refusal{"unknown_event", fmt.Sprintf("There is no event %.64q.", event)}
	}
	if s.gone.Load() {
		return nil, errNotConnected
	}
	if !passive[event] {
		s.service.markActive(s)
	}
	before := s.service.outbox.addedCount.Load()
	reply, err := handle(s.service, s, args)
	s.service.awaitSent(before)
	s.service.awaitRoom()
	return reply, err
}

// What events with a name in their name are called together.
const (
	startRaceEvents   = "start_race_*"
	updateSpeedEvents = "update_*_speed"
)

// namedEvent finds the handler of an event with a name in its name, and its kind.
func namedEvent(event string) (h handler, kind string) {
	if token, ok := strings.CutPrefix(event, "start_race_"); ok {
		return startRace(token), startRaceEvents
	}
	if rest, ok := strings.CutPrefix(event, "update_"); ok {
		if race, ok := strings.CutSuffix(rest, "_speed"); ok {
			return updateSpeed(race), updateSpeedEvents
		}
	}
	return nil, ""
}
