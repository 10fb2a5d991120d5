package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"sync"
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

func (a *api) user(w http.ResponseWriter, r *http.Request, id string) {
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
func (a *api) signOut(w http.ResponseWriter, r *http.Request, id string) {
	query := r.URL.Query()
	after, isAfter := afterOf(query)
	revoke, isFlag := flagOf(query, "revoke")
	switch {
	case !isAfter:
		fail(w, http.StatusBadRequest, "bad_after", "after must be a duration from 0s to 10s, such as 1s or 500ms.")
		return
	case !isFlag:
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

var afterForm = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s)$`)

// afterOf reads the parameter after, a duration up to maxAfter or absent.
func afterOf(query url.Values) (after time.Duration, ok bool) {
	text := query.Get("after")
	if !query.Has("after") {
		return 0, true
	} else if len(query["after"]) > 1 || !afterForm.MatchString(text) {
		return 0, false
	}
	after, err := time.ParseDuration(text)
	return after, err == nil && after <= maxAfter
}

// flagOf reads a parameter that is true, false or absent.
func flagOf(query url.Values, name string) (set, ok bool) {
	value := query.Get(name)
	return value == "true", !query.Has(name) || len(query[name]) == 1 && (value == "true" || value == "false")
}

// named passes on the id or the room that the path names, percent-decoded, else the one
// in the query, for names that a path cannot have.
func named(what string, limit int, next func(http.ResponseWriter, *http.Request, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue(what)
		if values := r.URL.Query()[what]; name == "" && len(values) == 1 { // a path's is never empty
			name = values[0]
		}
		if name == "" || len(name) > limit || !utf8.ValidString(name) {
			fail(w, http.StatusBadRequest, "bad_"+what, badName(what, limit))
			return
		}
		next(w, r, name)
	}
}

func (a *api) roomUsers(w http.ResponseWriter, _ *http.Request, room string) {
	users := append([]string{}, a.Rooms.RoomUsers(room)...) // never null
	answer(w, struct {
		Room  string   `json:"room"`
		Users []string `json:"users"`
		Count int      `json:"count"`
	}{room, users, len(users)})
}

func (a *api) messages(w http.ResponseWriter, r *http.Request, room string) {
	ctx, cancel := context.WithTimeout(r.Context(), lookUpTimeout)
	defer cancel()
	said, err := a.Rooms.Messages(ctx, room)
	if err != nil {
		// The cause is in the log, for the operator.
		fail(w, http.StatusServiceUnavailable, "unavailable", "The room's history cannot be read now.")
		return
	}
	answer(w, append([]rooms.ChatMessage{}, said...)) // never null
}

func badName(what string, limit int) string {
	return fmt.Sprintf("%s must be 1 to %d bytes of UTF-8 text.", what, limit)
}

// maxScheduled bounds the functions that wait in a Scheduler.
const maxScheduled = 10_000

// Scheduler calls functions after a delay. The zero value is ready to use; it is
// safe for concurrent use. Flush calls at once what waits, so that the end of the
// process loses nothing.
type Scheduler struct {
	// mu guards the fields below. No function is called under it.
	mu      sync.Mutex
	waiting map[*scheduled]struct{}
	flushed bool
}

type scheduled struct {
	timer *time.Timer
	f     func()
}

// Do calls f after a delay: at once if that is 0, if maxScheduled functions wait, and
// after Flush.
func (s *Scheduler) Do(after time.Duration, f func()) {
	s.mu.Lock()
	if after <= 0 || s.flushed || len(s.waiting) >= maxScheduled {
		s.mu.Unlock()
		f()
		return
	}
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = make(map[*scheduled]struct{})
	}
	one := &scheduled{f: f}
	s.waiting[one] = struct{}{}
	one.timer = time.AfterFunc(after, func() {
		if s.take(one) {
			f()
		}
	})
}

// take removes a function and reports whether it still waited.
func (s *Scheduler) take(one *scheduled) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waits := s.waiting[one]
	delete(s.waiting, one)
	return waits
}

// Flush calls every function that waits, and makes Do call further ones at once.
func (s *Scheduler) Flush() {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting, s.flushed = nil, true
	s.mu.Unlock()
	for one := range waiting {
		one.timer.Stop()
		one.f()
	}
}
