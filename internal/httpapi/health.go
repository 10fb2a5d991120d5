// Package httpapi answers plain HTTP: what load balancers and Prometheus ask
// (Health) and what the Rails app asks and says (API, described to its users in
// openapi.json). Nothing of Socket.IO lives here, and no rule of presence: what
// is answered comes from rooms.
package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// HealthOptions configures Health. Ready is required.
type HealthOptions struct {
	// Ready says why the server cannot serve now; nil: it can.
	Ready func() error
	// Metrics serves /metrics. Default: there is no such path.
	Metrics http.Handler
	// MetricsKey has to be shown for /metrics. Default: anybody may read them.
	// A request with it or with APIKey is told by /readyz what exactly is wrong.
	MetricsKey, APIKey string
	// Attempts slows down wrong keys. Default: nothing does.
	Attempts *Attempts
}

// Health serves /healthz (the process is alive), /readyz (it can serve) and
// /metrics.
func Health(o HealthOptions) http.Handler {
	metricsKey, apiKey := newKey(o.MetricsKey), newKey(o.APIKey)
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", readOnly(func(w http.ResponseWriter, _ *http.Request) { ok(w) }))
	mux.HandleFunc("/readyz", readOnly(func(w http.ResponseWriter, r *http.Request) {
		err := o.Ready()
		if err == nil {
			ok(w)
			return
		}
		message := err.Error()
		if shown := bearer(r); !metricsKey.is(shown) && !apiKey.is(shown) {
			message = withoutCause(err)
		}
		fail(w, http.StatusServiceUnavailable, "not_ready", message)
	}))
	if o.Metrics != nil {
		mux.HandleFunc("/metrics", readOnly(func(w http.ResponseWriter, r *http.Request) {
			const message = "This needs the header Authorization: Bearer and the METRICS_KEY."
			switch {
			case !metricsKey.set || metricsKey.is(bearer(r)):
				o.Metrics.ServeHTTP(w, r)
			case r.Header.Get("Authorization") == "":
				unauthorized(w, message)
			default:
				o.Attempts.refuse(w, r, message)
			}
		}))
	}
	return mux
}

// withoutCause is what an error says of itself, not what the error says that it
// wraps: that one comes from the network and names addresses.
func withoutCause(err error) string {
	cause := errors.Unwrap(err)
	if cause == nil {
		return err.Error()
	}
	text, found := strings.CutSuffix(err.Error(), cause.Error())
	if !found {
		return "this instance cannot serve now; the log says why"
	}
	return strings.TrimRight(text, ": ")
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
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	if c, ok := w.(counted); ok {
		c.refused(code)
	}
	_ = json.NewEncoder(w).Encode(struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{code, message})
}
