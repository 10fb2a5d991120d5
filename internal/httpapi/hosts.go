package httpapi

import "net/http"

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
