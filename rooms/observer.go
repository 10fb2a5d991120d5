package rooms

import (
	"strings"
	"time"
)

// Observer is told what is sent to the clients, for metrics. Calls must not
// block.
type Observer interface {
	// Presence tells how many users and entries there are.
	Presence(users, entries int)
	// Flush tells what a flush cost; its kind is "changes", "list" or "rosters".
	Flush(kind string, cost time.Duration)
	// Pause tells for how long no other flush of the kind will be.
	Pause(kind string, pause time.Duration)
	// Sent tells that one event was queued to so many sockets; its kind is one
	// of EventsSent, or any other text.
	Sent(kind string, sockets int)
}

type noObserver struct{}

func (noObserver) Presence(int, int)           {}
func (noObserver) Flush(string, time.Duration) {}
func (noObserver) Pause(string, time.Duration) {}
func (noObserver) Sent(string, int)            {}

// EventsSent names the events that clients are sent, those with a name in their
// name by their kind. POST /api/emit and emitters may send any other.
func EventsSent() []string {
	return []string{
		"online_users", "add_user", "update_user", "remove_user", "online_count", "updateOnlineUsers",
		"user_list", "user_joined", "user_left", "typing", "message",
		"invite", stageEvents, raceEvents, startRaceEvents, updateSpeedEvents,
	}
}

const (
	stageEvents = "update_stage_*"
	raceEvents  = "race_*_update"
)

// sentKind is what an event is called in EventsSent, or else its own name.
func sentKind(event string) string {
	if strings.HasPrefix(event, "update_stage_") {
		return stageEvents
	}
	if strings.HasPrefix(event, "race_") && strings.HasSuffix(event, "_update") {
		return raceEvents
	}
	if _, kind := namedEvent(event); kind != "" {
		return kind
	}
	return event
}

// noteSent tells the observer of events that as many sockets get.
func (r *Rooms) noteSent(events []Event, sockets int) {
	for _, e := range events {
		r.options.Observer.Sent(sentKind(e.Name), sockets)
	}
}
