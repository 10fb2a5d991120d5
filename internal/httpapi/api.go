package httpapi

import (
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
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
	// Key has to be shown by whoever changes something. Empty: nobody may.
	Key string
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
	key           [sha256.Size]byte
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
	a := &api{Options: opts, key: sha256.Sum256([]byte(opts.Key))}
	mux := http.NewServeMux()
	mux.Handle("/api/online_users", methods{http.MethodGet: a.onlineUsers})
	mux.Handle("/api/online_users/count", methods{http.MethodGet: a.count})
	mux.Handle("/api/users/{id}", methods{http.MethodGet: a.user, http.MethodDelete: a.withKey(a.signOut)})
	mux.Handle("/api/rooms/{room}/users", methods{http.MethodGet: a.roomUsers})
	mux.Handle("/api/rooms/{room}/messages", methods{http.MethodGet: a.messages})
	mux.Handle("/api/emit", methods{http.MethodPost: a.withKey(a.emit)})
	mux.Handle("/api/openapi.json", methods{http.MethodGet: a.description})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "There is no such path: /api/openapi.json describes what there is.")
	})
	next := inTime(a.fromAllowedOrigins(mux))
	if a.Refused == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(counted{w, a.Refused}, r)
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
		next.ServeHTTP(w, r)
	})
}

// methods is what one path answers to. HEAD is GET: net/http drops its body.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Method
	if name == http.MethodHead {
		name = http.MethodGet
	}
	if handle := m[name]; handle != nil {
		handle(w, r)
		return
	}
	var allowed []string
	for name := range m {
		if allowed = append(allowed, name); name == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	fail(w, http.StatusMethodNotAllowed, "method_not_allowed", "Only "+allow+" can be used here.")
}
