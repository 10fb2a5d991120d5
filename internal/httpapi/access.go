package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/rs/cors"

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

// is compares hashes in constant time, so that the time tells nothing about the key.
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

func (a *api) isApp(r *http.Request) bool { return a.key.is(bearer(r)) }

// withKey passes on requests with the key only.
func (a *api) withKey(next http.HandlerFunc) http.HandlerFunc {
	const message = "This needs the header Authorization: Bearer and the API_KEY."
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !a.key.set:
			fail(w, http.StatusForbidden, "no_api_key", "This server has no API_KEY, so nobody may do this.")
		case a.isApp(r):
			next(w, r.WithContext(rooms.FromApp(r.Context())))
		case r.Header.Get("Authorization") == "":
			unauthorized(w, message)
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
		case r.Header.Get("Authorization") == "":
			unauthorized(w, message)
		default:
			a.Attempts.refuse(w, r, message)
		}
	}
}

// AllowedHosts refuses requests that were sent to a host that is not allowed, except
// health checks, which use the server's address. The page of a host name that was
// made to lead to this server (DNS rebinding) has the same origin in its browser: only
// the host name tells it apart. refused gets the code of each refusal.
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
