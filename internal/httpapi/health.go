// Package httpapi answers plain HTTP: what load balancers and Prometheus ask
// (Health) and what the Rails app asks and says (API, described to its users in
// openapi.json). Nothing of Socket.IO lives here, and no rule of presence: what
// is answered comes from rooms.
package httpapi

import (
	"encoding/json"
	"io"
	"net/http"
)

// Health serves /healthz (the process is alive), /readyz (it can serve; ready
// says why not) and /metrics. A nil metrics leaves /metrics out.
func Health(ready func() error, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", readOnly(func(w http.ResponseWriter, _ *http.Request) { ok(w) }))
	mux.HandleFunc("/readyz", readOnly(func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			fail(w, http.StatusServiceUnavailable, "not_ready", err.Error())
			return
		}
		ok(w)
	}))
	if metrics != nil {
		mux.HandleFunc("/metrics", readOnly(metrics.ServeHTTP))
	}
	return mux
}

// readOnly lets GET and HEAD through; net/http drops a HEAD's body itself.
func readOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "method_not_allowed", "Only GET and HEAD are allowed here.")
			return
		}
		// An answer about now is wrong a moment later.
		w.Header().Set("Cache-Control", "no-store")
		next(w, r)
	}
}

func ok(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// fail writes the one form that every error of the HTTP side has.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if c, ok := w.(counted); ok {
		c.refused(code)
	}
	_ = json.NewEncoder(w).Encode(struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{code, message})
}
