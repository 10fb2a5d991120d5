package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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

// Options configures the API. Every field is required, except where it says otherwise.
type Options struct {
	Rooms Rooms
	// Key is the bearer token of the app, which only it may use to change something.
	// Its requests are never delayed. Empty: nothing can be changed.
	Key string
	// Authenticate checks a token: reading needs a valid one or the key. Nil: everybody
	// may read.
	Authenticate func(token string) error
	// Guests lets requests without a valid token read what a client without a token
	// sees; Public lets them read as if there were no Authenticate.
	Guests, Public bool
	// Revoke rejects the tokens of a user that were issued until now.
	Revoke func(id string)
	// Scheduler delays sign-outs with ?after.
	Scheduler *Scheduler
	// Attempts delays answers to wrong keys and tokens.
	Attempts *Attempts
	// Address is the address of a request's client, for Log, which gets a line for
	// each sign-out and each event that the app emits.
	Address func(*http.Request) string
	Log     *slog.Logger
	// MaxBody bounds a request's body, in bytes; Inbound those of all requests together.
	MaxBody int64
	Inbound *memory.Budget
	// OriginAllowed reports whether the page of a request is allowed.
	OriginAllowed func(*http.Request) bool
	// Refused gets the code of each refusal, for metrics. It must not block.
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

// openapi describes the API to its users; the tests hold the server to it.
//
//go:embed openapi.json
var openapi []byte

// API serves everything below /api/.
func API(opts Options) http.Handler {
	a := &api{Options: opts, key: newKey(opts.Key)}
	routes := http.NewServeMux()
	routes.HandleFunc("/api/", notFound)
	read := func(h http.HandlerFunc) methods { return methods{http.MethodGet: a.reading(h)} }
	users := methods{
		http.MethodGet:    a.reading(named("id", maxID, a.user)),
		http.MethodDelete: a.withKey(named("id", maxID, a.signOut)),
	}
	roomUsers, messages := read(named("room", maxRoom, a.roomUsers)), read(named("room", maxRoom, a.messages))
	for path, handlers := range map[string]methods{
		"/api/online_users":          read(a.onlineUsers),
		"/api/online_users/count":    read(a.count),
		"/api/users":                 users,
		"/api/users/{id}":            users,
		"/api/rooms/users":           roomUsers,
		"/api/rooms/messages":        messages,
		"/api/rooms/{room}/users":    roomUsers,
		"/api/rooms/{room}/messages": messages,
		"/api/emit":                  {http.MethodPost: a.withKey(a.emit)},
		"/api/openapi.json":          {http.MethodGet: a.description},
	} {
		routes.Handle(path, handlers)
	}
	next := a.fromAllowedOrigins(private(anySegments(routes)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setDeadlines(w)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "private, no-store")
		next.ServeHTTP(counted{w, a.Refused}, r)
	})
}

// private makes caches keep an answer apart for each token.
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

// setDeadlines bounds how long a client may take to send a request and to read the
// answer. A test's recorder has no deadlines.
func setDeadlines(w http.ResponseWriter) {
	now, conn := time.Now(), http.NewResponseController(w)
	_ = conn.SetReadDeadline(now.Add(readTimeout))
	_ = conn.SetWriteDeadline(now.Add(writeTimeout))
}

// anySegments lets a mux match the path segments "." and "..", which are valid ids: it
// escapes them, since http.ServeMux would redirect. Empty segments, which it would drop,
// are in no path.
func anySegments(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		segments := strings.Split(r.URL.EscapedPath(), "/")
		for i, segment := range segments {
			switch {
			case segment == "" && i > 0 && i < len(segments)-1:
				notFound(w, r)
				return
			case segment == "." || segment == "..":
				segments[i] = strings.ReplaceAll(segment, ".", "%2E")
			}
		}
		escaped, url := *r, *r.URL
		escaped.URL, url.RawPath = &url, strings.Join(segments, "/")
		mux.ServeHTTP(w, &escaped)
	})
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusNotFound, "not_found", "There is no such path: /api/openapi.json describes what there is.")
}

// methods has the handlers of one path. HEAD is handled as GET: net/http drops the
// body.
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

const jsonType = "application/json; charset=utf-8"

// answer writes a value as JSON.
func answer(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil { // our own types: a bug
		panic(err)
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	_, _ = w.Write(append(body, '\n'))
}

// tagged keeps the entity tag of the last body, so that an unchanged one is not
// hashed again.
type tagged struct{ last atomic.Pointer[taggedBody] }

type taggedBody struct {
	body []byte
	tag  string
}

// answer writes the body, or 304 if the client has it already. The tag depends on
// the body alone, so it is the same on all instances.
func (t *tagged) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	now := t.last.Load()
	if now == nil || !sameSlice(now.body, body) {
		sum := sha256.Sum256(body)
		now = &taggedBody{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
		t.last.Store(now)
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("ETag", now.tag)
	w.Header().Set("Cache-Control", "private, no-cache") // may be kept, has to be checked each time
	// http.ServeContent reads one header of these, and a part of JSON is of no use.
	r.Header.Set("If-None-Match", strings.Join(r.Header.Values("If-None-Match"), ","))
	r.Header.Del("Range")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// sameSlice compares addresses: as long as a slice is kept, its memory is not reused.
func sameSlice(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}
