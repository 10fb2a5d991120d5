package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"
	"unicode/utf8"

	"rollcall/rooms"
)

func (a *api) onlineUsers(w http.ResponseWriter, r *http.Request) {
	a.list.answer(w, r, a.Rooms.OnlineUsers())
}

func (a *api) description(w http.ResponseWriter, r *http.Request) { a.openapi.answer(w, r, openapi) }

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
	ctx, cancel := context.WithTimeout(r.Context(), lookUpTimeout)
	defer cancel()
	info := a.Rooms.User(ctx, id)
	if !rooms.IsFromApp(ctx) && a.Rooms.IsHidden(id) {
		info.LastActive = 0 // it would show that the user is there
	}
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

// maxAfter bounds the delay of a sign-out.
const maxAfter = 10 * time.Second

// signOut signs a user out, with ?after later. With ?revoke it revokes the tokens
// issued until then: at once, and again when the sign-out is done.
func (a *api) signOut(w http.ResponseWriter, r *http.Request) {
	id, ok := pathName(w, r, "id", maxID)
	if !ok {
		return
	}
	query := r.URL.Query()
	after, err := afterOf(query)
	revoke, ok := flagOf(query, "revoke")
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, "bad_after", "after must be a duration from 0s to 10s, such as 1s or 500ms.")
		return
	case !ok:
		fail(w, http.StatusBadRequest, "bad_revoke", "revoke must be true or false.")
		return
	}
	if revoke {
		a.Revoke(id)
	}
	sockets := a.Rooms.Sockets(id)
	a.Scheduler.Do(after, func() {
		if revoke && after > 0 {
			a.Revoke(id)
		}
		a.Rooms.SignOut(id)
	})
	a.Log.Info("the API signed a user out", "user", clip(id), "sockets", sockets, "after", after, "revoke", revoke, "address", a.Address(r))
	answer(w, struct {
		ID      string `json:"id"`
		Sockets int    `json:"sockets"`
	}{id, sockets})
}

var (
	errAfter  = errors.New("after is no duration up to 10s")
	afterForm = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s)$`)
)

func afterOf(query url.Values) (time.Duration, error) {
	if !query.Has("after") {
		return 0, nil
	}
	if text := query["after"]; len(text) > 1 || !afterForm.MatchString(text[0]) {
		return 0, errAfter
	}
	after, err := time.ParseDuration(query.Get("after"))
	if err == nil && after > maxAfter {
		err = errAfter
	}
	return after, err
}

// flagOf reads a parameter that is true, false or absent.
func flagOf(query url.Values, name string) (set, ok bool) {
	value := query.Get(name)
	return value == "true", !query.Has(name) || len(query[name]) == 1 && (value == "true" || value == "false")
}

// pathName is the id or the room that the path names, percent-decoded, else the one
// in the query, for names that a path cannot have. It answers an invalid name itself
// and reports false.
func pathName(w http.ResponseWriter, r *http.Request, what string, limit int) (string, bool) {
	name := r.PathValue(what)
	if name == "" { // a path's is never empty
		if values := r.URL.Query()[what]; len(values) == 1 {
			name = values[0]
		}
	}
	if name != "" && len(name) <= limit && utf8.ValidString(name) {
		return name, true
	}
	fail(w, http.StatusBadRequest, "bad_"+what, badName(what, limit))
	return "", false
}

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
