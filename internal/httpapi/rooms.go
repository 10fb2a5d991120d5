package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"rollcall/rooms"
)

func (a *api) roomUsers(w http.ResponseWriter, r *http.Request) {
	room, ok := pathName(w, r, "room", maxRoom)
	if !ok {
		return
	}
	users := a.Rooms.RoomUsers(room)
	if users == nil {
		users = []string{}
	}
	answer(w, struct {
		Room  string   `json:"room"`
		Users []string `json:"users"`
		Count int      `json:"count"`
	}{room, users, len(users)})
}

func (a *api) messages(w http.ResponseWriter, r *http.Request) {
	room, ok := pathName(w, r, "room", maxRoom)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookUpTimeout)
	defer cancel()
	said, err := a.Rooms.Messages(ctx, room)
	if err != nil {
		// The cause is in the log, for the operator.
		fail(w, http.StatusServiceUnavailable, "unavailable", "The room's history cannot be read now.")
		return
	}
	if said == nil {
		said = []rooms.ChatMessage{}
	}
	answer(w, said)
}

func badName(what string, limit int) string {
	return fmt.Sprintf("%s must be 1 to %d bytes of UTF-8 text.", what, limit)
}
