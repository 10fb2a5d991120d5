package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/cors"
	"golang.org/x/time/rate"

	"rollcall/internal/retry"
	"rollcall/rooms"
)

// fromAllowedOrigins refuses pages whose origin is not allowed, and answers CORS
// requests of the others. Credentials are not allowed: nothing depends on cookies.
func (a *api) fromAllowedOrigins(next http.Handler) http.Handler {
	open := cors.New(cors.Options{
		AllowOriginFunc: func(string) bool { return true }, // others were refused before
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
		AllowedHeaders:  []string{"*"},
		ExposedHeaders:  []string{"ETag"},
		MaxAge:          600,
	}).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.OriginAllowed(r) {
			w.Header().Set("Vary", "Origin")
			fail(w, http.StatusForbidden, "forbidden_origin", "Pages of this origin may not ask here: see CORS_ORIGINS.")
			return
		}
		open.ServeHTTP(w, r)
	})
}

// A key is a secret that requests carry as a bearer token. Nothing equals the zero
// value.
type key struct {
	sum [sha256.Size]byte
	set bool
}

func newKey(text string) key { return key{sha256.Sum256([]byte(text)), text != ""} }

// is compares hashes in constant time, so that the time does not depend on the key.
func (k key) is(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return k.set && subtle.ConstantTimeCompare(sum[:], k.sum[:]) == 1
}

// bearer is the bearer token of a request, "" without one. It is never taken from
// the URL, which ends up in logs.
func bearer(r *http.Request) string {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(text)
}

// withKey passes on requests with the key only.
func (a *api) withKey(next http.HandlerFunc) http.HandlerFunc {
	const message = "This needs the header Authorization: Bearer and the API_KEY."
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !a.key.set:
			fail(w, http.StatusForbidden, "no_api_key", "This server has no API_KEY, so nobody may do this.")
		case a.key.is(bearer(r)):
			next(w, r.WithContext(rooms.FromApp(r.Context())))
		default:
			a.Attempts.refuse(w, r, message)
		}
	}
}

// reading passes on requests that may read: with Authenticate those with the key or
// a valid token, and others only with Guests or Public.
func (a *api) reading(next http.HandlerFunc) http.HandlerFunc {
	const message = "Reading needs the header Authorization: Bearer with a valid token or the API_KEY."
	return func(w http.ResponseWriter, r *http.Request) {
		token := bearer(r)
		switch {
		case a.key.is(token):
			next(w, r.WithContext(rooms.FromApp(r.Context())))
		case a.Authenticate == nil && a.key.set && token != "":
			// The token can only be meant as the key. The answer differs with the
			// right one, so attempts have to be slow here too.
			if a.Attempts.delays(w, r) {
				next(w, r)
			}
		case a.Authenticate == nil || a.Public || a.Guests:
			next(w, r)
		case token != "" && a.Authenticate(token) == nil:
			next(w, r)
		default:
			a.Attempts.refuse(w, r, message)
		}
	}
}

// AllowedHosts refuses requests that were sent to a host that is not allowed, except
// health checks, which use the server's address. The page of a host name that was
// made to lead to this server (DNS rebinding) has the same origin in its browser: only
// the host name distinguishes it. refused gets the code of each refusal.
func AllowedHosts(allowed func(*http.Request) bool, refused func(code string), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isHealthCheck(r.URL.Path) || allowed(r) {
			next.ServeHTTP(w, r)
			return
		}
		refused("forbidden_host")
		fail(w, http.StatusForbidden, "forbidden_host", "This server does not answer for this host name: see ALLOWED_HOSTS.")
	})
}

func isHealthCheck(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/up" }

const (
	// attemptDelay delays the answer to a wrong key, of maxAttempts requests at a time.
	// Further ones get 429 at once.
	attemptDelay = 500 * time.Millisecond
	maxAttempts  = 100
	// logAttemptsEvery is the time between two lines of the log.
	logAttemptsEvery = 10 * time.Second
)

// Attempts delays, counts and logs requests with a wrong key or token. It is safe for
// concurrent use.
type Attempts struct {
	address  func(*http.Request) string
	log      *slog.Logger
	refused  func(code string)
	delay    time.Duration
	waiting  chan struct{} // a semaphore of maxAttempts
	unlogged atomic.Int64  // attempts since the last line
	logging  rate.Sometimes
}

// NewAttempts makes the Attempts of a server. address gives the address of a request's
// client; refused gets "wrong_key" for each attempt.
func NewAttempts(address func(*http.Request) string, log *slog.Logger, refused func(code string)) *Attempts {
	return &Attempts{
		address: address, log: log, refused: refused,
		delay: attemptDelay, waiting: make(chan struct{}, maxAttempts),
		logging: rate.Sometimes{First: 1, Interval: logAttemptsEvery},
	}
}

// refuse answers a request without a key with 401, and one with a wrong key after a
// delay, or with 429 at once if too many wait.
func (a *Attempts) refuse(w http.ResponseWriter, r *http.Request, message string) {
	if r.Header.Get("Authorization") == "" || a.delays(w, r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
		fail(w, http.StatusUnauthorized, "unauthorized", message)
	}
}

// delays counts an attempt and waits. It reports false if too many wait and it has
// answered 429.
func (a *Attempts) delays(w http.ResponseWriter, r *http.Request) bool {
	a.refused("wrong_key")
	a.unlogged.Add(1)
	a.logging.Do(func() {
		a.log.Warn("a wrong key or token was shown over HTTP",
			"attempts", a.unlogged.Swap(0), "address", a.address(r), "path", clip(r.URL.Path))
	})
	select {
	case a.waiting <- struct{}{}:
		defer func() { <-a.waiting }()
		retry.Sleep(r.Context(), a.delay)
		return true
	default:
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusTooManyRequests, "too_many_attempts", "Too many requests show a wrong key now: try again later.")
		return false
	}
}

// clip shortens a client's text for the log.
func clip(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
