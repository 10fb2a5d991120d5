// Package httpapi serves plain HTTP: health checks and metrics (Health) and the API
// for the web app (API, described in openapi.json). It has nothing of Socket.IO and
// no rule of presence: the answers come from rooms.
package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// HealthOptions configures Health. Ready is required.
type HealthOptions struct {
	// Ready returns why the server cannot serve now, nil if it can.
	Ready func() error
	// Metrics serves /metrics. Default: there is no such path.
	Metrics http.Handler
	// MetricsKey is the bearer token for /metrics. Default: anybody may read them.
	// With it, or with APIKey, /readyz names the exact cause.
	MetricsKey, APIKey string
	// Attempts delays answers to wrong keys; MetricsKey needs it.
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
			if !metricsKey.set || metricsKey.is(bearer(r)) {
				o.Metrics.ServeHTTP(w, r)
			} else {
				o.Attempts.refuse(w, r, "This needs the header Authorization: Bearer and the METRICS_KEY.")
			}
		}))
	}
	return mux
}

// withoutCause is the text of an error without that of the error it wraps, which
// comes from the network and names addresses.
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
		w.Header().Set("Cache-Control", "no-store")
		next(w, r)
	}
}

func ok(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// fail writes an error, in the one form that all errors over HTTP have.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", jsonType)
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

// probeTimeout is how long Probe waits for the whole answer.
const probeTimeout = 2 * time.Second

// Probe asks a server on this machine whether it is alive: it is what
// `rollcall -health` does, and so what a container's health check does. host
// and port are where the server listens.
func Probe(ctx context.Context, host string, port int) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	url := "http://" + net.JoinHostPort(probeHost(host), strconv.Itoa(port)) + "/healthz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	// A transport of its own: no proxy from the environment, no connection left.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return err // says the address and the cause
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1024))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: the answer is %s", url, res.Status)
	}
	return nil
}

// probeHost is where a server that listens on host can be reached from here.
func probeHost(host string) string {
	addr, err := netip.ParseAddr(cmp.Or(host, "0.0.0.0"))
	switch {
	case err != nil || !addr.IsUnspecified():
		return host
	case addr.Is4():
		return "127.0.0.1"
	}
	return "::1"
}
