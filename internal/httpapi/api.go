package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"rollcall/internal/memory"
	"rollcall/rooms"
)

// Users is what the API needs of users.
type Users interface {
	// OnlineUsers is the present list as a JSON array. The same list is the same
	// slice, and is not changed.
	OnlineUsers() []byte
	Counts() rooms.Counts
	User(ctx context.Context, id string) rooms.UserInfo
	IsHidden(id string) bool
	// Sockets is the number of a user's sockets on all instances.
	Sockets(id string) int
	SignOut(id string) (sockets int)
}

// RoomsAPI is what the API needs of chat rooms and broadcasts.
type RoomsAPI interface {
	RoomUsers(room string) []string
	Messages(ctx context.Context, room string) ([]rooms.ChatMessage, error)
	// Emit returns a *rooms.Refusal for an event that cannot be sent.
	Emit(rooms.Broadcast) error
}

// Rooms is the domain, as the API sees it.
type Rooms interface {
	Users
	RoomsAPI
}

var _ Rooms = (*rooms.Rooms)(nil)

// Options configures the API. Rooms is required.
type Options struct {
	Rooms Rooms
	// Key is the bearer token of the app, which only it may use to change something.
	// Its requests are never delayed. Empty: nothing can be changed.
	Key string
	// Authenticate checks a token. Reading needs a valid one or the key. Default:
	// everybody may read.
	Authenticate func(token string) error
	// Guests lets requests without a valid token read what a client without a token
	// sees; Public lets them read as if there were no Authenticate.
	Guests, Public bool
	// Revoke rejects the tokens of a user that were issued until now. Default: tokens
	// are not revoked.
	Revoke func(id string)
	// Scheduler delays sign-outs with ?after. Default: a new one.
	Scheduler *Scheduler
	// Attempts delays answers to wrong keys and tokens. Default: there is no delay.
	Attempts *Attempts
	// Address is the address of a request's client, for Log, which gets a line for
	// each sign-out and each event that the app emits. Default: RemoteAddr, no log.
	Address func(*http.Request) string
	Log     *slog.Logger
	// MaxBody bounds a request's body, in bytes. Default: 64 KiB.
	MaxBody int64
	// Inbound bounds the bodies of all requests together. Default: 64 MiB.
	Inbound *memory.Budget
	// OriginAllowed reports whether the page of a request is allowed. Default: every
	// page is.
	OriginAllowed func(*http.Request) bool
	// Refused gets the code of each refusal, for metrics. It must not block. Default:
	// refusals are not counted.
	Refused func(code string)
}

const (
	maxID   = 4 << 10 // bytes of a user's id
	maxRoom = 128     // bytes of a room's name

	readTimeout   = 10 * time.Second // for a request to arrive
	writeTimeout  = 30 * time.Second // for its answer to be read
	lookUpTimeout = 3 * time.Second  // for Redis to answer
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
	if opts.Scheduler == nil {
		opts.Scheduler = &Scheduler{}
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
	next := withDeadlines(a.fromAllowedOrigins(private(all)))
	if a.Refused == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(counted{w, a.Refused}, r)
	})
}

// private tells caches that an answer depends on the token.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Authorization")
		next.ServeHTTP(w, r)
	})
}

// counted reports refusals: see fail.
type counted struct {
	http.ResponseWriter
	refused func(code string)
}

// Unwrap is for http.ResponseController.
func (c counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// withDeadlines bounds how long a client may take to send a request and to read the
// answer. A test's recorder has no deadlines.
func withDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now, conn := time.Now(), http.NewResponseController(w)
		_ = conn.SetReadDeadline(now.Add(readTimeout))
		_ = conn.SetWriteDeadline(now.Add(writeTimeout))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "private, no-store")
		next.ServeHTTP(w, r)
	})
}
