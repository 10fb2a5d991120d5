package httpapi

import "net/http"

// AllowedHosts refuses requests that were sent to a host that allowed does not
// know, but for those of health checks, which go to whatever address the server
// has. A page whose own name leads to this server (DNS rebinding) is of the same
// origin to its browser: only the name tells it apart. refused is told of each.
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
