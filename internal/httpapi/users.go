package httpapi

import (
	"context"
	"net/http"
	"unicode/utf8"

	"rollcall/rooms"
)

func (a *api) onlineUsers(w http.ResponseWriter, r *http.Request) {
	a.list.answer(w, r, a.Rooms.OnlineUsers())
}

func (a *api) count(w http.ResponseWriter, _ *http.Request) {
	n := a.Rooms.Counts()
	answer(w, struct {
		Users   int `json:"users"`
		Sockets int `json:"sockets"`
	}{n.Users, n.Sockets})
}

func (a *api) user(w http.ResponseWriter, r *http.Request) {
	id, ok := pathName(w, r, "id", maxID)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookUpWithin)
	defer cancel()
	info := a.Rooms.User(ctx, id)
	out := struct {
		ID         string       `json:"id"`
		Online     bool         `json:"online"`
		Status     rooms.Status `json:"status,omitempty"`
		Since      int64        `json:"since,omitempty"`
		LastActive int64        `json:"last_active,omitempty"`
	}{ID: id, Online: info.Online, LastActive: info.LastActive}
	if info.Online {
		out.Status, out.Since = info.Status, info.Since
	}
	answer(w, out)
}

func (a *api) signOut(w http.ResponseWriter, r *http.Request) {
	id, ok := pathName(w, r, "id", maxID)
	if !ok {
		return
	}
	answer(w, struct {
		ID      string `json:"id"`
		Sockets int    `json:"sockets"`
	}{id, a.Rooms.SignOut(id)})
}

// pathName is the id or the room that a path names, percent-decoded. If it
// cannot be one, that is answered.
func pathName(w http.ResponseWriter, r *http.Request, what string, limit int) (string, bool) {
	name := r.PathValue(what)
	if len(name) <= limit && utf8.ValidString(name) {
		return name, true // not empty: such a path is another
	}
	fail(w, http.StatusBadRequest, "bad_"+what, badName(what, limit))
	return "", false
}
