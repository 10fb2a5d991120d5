package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/rs/cors"
)

// fromAllowedOrigins refuses pages of foreign origins that are not allowed, and
// tells browsers what the others may do. Nothing here depends on cookies, so
// browsers need not be allowed to send any.
func (a *api) fromAllowedOrigins(next http.Handler) http.Handler {
	open := cors.New(cors.Options{
		AllowOriginFunc: func(string) bool { return true }, // who is not has been refused
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

// withKey lets only those through who show the key. It is never taken from the
// URL, which ends up in logs.
func (a *api) withKey(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.Key == "" {
			fail(w, http.StatusForbidden, "no_api_key", "This server has no API_KEY, so nobody may do this.")
			return
		}
		scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		// Of equal length and compared in constant time: the time it takes
		// tells nothing about the key.
		shown := sha256.Sum256([]byte(strings.TrimSpace(key)))
		if same := subtle.ConstantTimeCompare(shown[:], a.key[:]) == 1; !same || !strings.EqualFold(scheme, "Bearer") {
			w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
			fail(w, http.StatusUnauthorized, "unauthorized", "This needs the header Authorization: Bearer and the API_KEY.")
			return
		}
		next(w, r)
	}
}
