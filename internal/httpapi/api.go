package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"rollcall/internal/memory"
	"rollcall/rooms"
)

// Users is what the API needs to know and do about users.
type Users interface {
	// OnlineUsers is the present list as a JSON array. The same list is the
	// same slice, and is not changed.
	OnlineUsers() []byte
	Counts() rooms.Counts
	User(ctx context.Context, id string) rooms.UserInfo
	// IsHidden reports whether a user hides.
	IsHidden(id string) bool
	// Sockets is how many a user has, on all instances.
	Sockets(id string) int
	SignOut(id string) (sockets int)
}

// Talk is what the API needs of rooms and messages.
type Talk interface {
	RoomUsers(room string) []string
	Messages(ctx context.Context, room string) ([]rooms.Said, error)
	// Emit returns a *rooms.Refusal for an event that cannot be sent.
	Emit(rooms.Message) error
}

// Rooms is the domain, as the API sees it.
type Rooms interface {
	Users
	Talk
}

var _ Rooms = (*rooms.Rooms)(nil)

// Options configures the API. Rooms is required.
type Options struct {
	Rooms Rooms
	// Key is needed to change something. Empty: nobody may. A request with it is
	// the app's and never waits behind others.
	Key string
	// Authenticate tells whether a token is valid: then reading needs one, or
	// the key. Default: everybody may read.
	Authenticate func(token string) error
	// Guests lets everybody read all the same, as far as a client without a
	// token sees it; Public as if there were no Authenticate.
	Guests, Public bool
	// Revoke refuses the tokens of a user that were issued until now. Default:
	// nothing does.
	Revoke func(id string)
	// Later does what is asked for with ?after. Default: one of its own.
	Later *Later
	// Attempts slows down wrong keys and tokens. Default: nothing does.
	Attempts *Attempts
	// Address names a request's client, and Log gets a line of each sign-out
	// and event of the app. Default: none.
	Address func(*http.Request) string
	Log     *slog.Logger
	// MaxBody is the size limit of a request's body. Default 64 KiB.
	MaxBody int64
	// Inbound bounds the bodies of all requests together. Default 64 MiB.
	Inbound *memory.Budget
	// OriginAllowed tells whether the page that a request comes from may ask.
	// Default: all may.
	OriginAllowed func(*http.Request) bool
	// Refused is told the code of each refusal, for metrics. It must not block.
	// Default: nobody is.
	Refused func(code string)
}

// Limits of names in paths, and how long anybody may take: the client to send
// its request and to read the answer, Redis to know something.
const (
	maxID        = 4 << 10
	maxRoom      = 128
	sendWithin   = 10 * time.Second
	readWithin   = 30 * time.Second
	lookUpWithin = 3 * time.Second
)

type api struct {
	Options
	key           key
	list, openapi tagged
}

// API serves everything below /api/.
func API(opts Options) http.Handler {
	if opts.MaxBody == 0 {
		opts.MaxBody = 64 << 10
	}
	if opts.Inbound == nil {
		opts.Inbound = memory.NewBudget(64 << 20)
	}
	if opts.OriginAllowed == nil {
		opts.OriginAllowed = func(*http.Request) bool { return true }
	}
	if opts.Later == nil {
		opts.Later = &Later{}
	}
	if opts.Revoke == nil {
		opts.Revoke = func(string) {}
	}
	if opts.Address == nil {
		opts.Address = func(r *http.Request) string { return r.RemoteAddr }
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{Options: opts, key: newKey(opts.Key)}
	var all routes
	read := func(h http.HandlerFunc) methods { return methods{http.MethodGet: a.reading(h)} }
	users := methods{http.MethodGet: a.reading(a.user), http.MethodDelete: a.withKey(a.signOut)}
	all.handle("/api/online_users", read(a.onlineUsers))
	all.handle("/api/online_users/count", read(a.count))
	all.handle("/api/users", users)
	all.handle("/api/users/{id}", users)
	all.handle("/api/rooms/users", read(a.roomUsers))
	all.handle("/api/rooms/messages", read(a.messages))
	all.handle("/api/rooms/{room}/users", read(a.roomUsers))
	all.handle("/api/rooms/{room}/messages", read(a.messages))
	all.handle("/api/emit", methods{http.MethodPost: a.withKey(a.emit)})
	all.handle("/api/openapi.json", methods{http.MethodGet: a.description})
	next := inTime(a.fromAllowedOrigins(private(all)))
	if a.Refused == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(counted{w, a.Refused}, r)
	})
}

// private tells caches that an answer depends on who asks.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Authorization")
		next.ServeHTTP(w, r)
	})
}

// counted is an answer that tells of its refusal: see fail.
type counted struct {
	http.ResponseWriter
	refused func(code string)
}

// Unwrap is for http.ResponseController.
func (c counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// inTime ends requests whose client does not go on. What cannot be timed (a
// test's recorder) has no such client.
func inTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now, conn := time.Now(), http.NewResponseController(w)
		_ = conn.SetReadDeadline(now.Add(sendWithin))
		_ = conn.SetWriteDeadline(now.Add(readWithin))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "private, no-store")
		next.ServeHTTP(w, r)
	})
}
