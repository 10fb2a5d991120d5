package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	var notReady error
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "numbers") })
	handler := Health(HealthOptions{Ready: func() error { return notReady }, Metrics: metrics})
	check := func(method, path string, status int, body string) http.Header {
		t.Helper()
		w := answerTo(handler, method, path, "", nil)
		if w.Code != status || w.Body.String() != body {
			t.Errorf("%s %s: got %d %q, want %d %q", method, path, w.Code, w.Body, status, body)
		}
		return w.Header()
	}
	for path, body := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n", "/metrics": "numbers"} {
		for _, method := range []string{"GET", "HEAD"} { // net/http drops the body of an answer to HEAD
			if h := check(method, path, 200, body); h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s may be cached", path)
			}
		}
		h := check("POST", path, 405, `{"error":"method_not_allowed","message":"Only GET and HEAD are allowed here."}`+"\n")
		if allow := h.Get("Allow"); allow != "GET, HEAD" {
			t.Errorf("%s: Allow is %q", path, allow)
		}
	}
	notReady = errors.New(`shutting "down"`)
	h := check("GET", "/readyz", 503, `{"error":"not_ready","message":"shutting \"down\""}`+"\n")
	if kind := h.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		t.Errorf("an error is %s", kind)
	}
	// Not ready is still alive.
	check("GET", "/healthz", 200, "ok\n")
	check("GET", "/healthz/more", 404, "404 page not found\n")
	handler = Health(HealthOptions{Ready: func() error { return nil }})
	check("GET", "/metrics", 404, "404 page not found\n")
}

// With a MetricsKey, /metrics needs it.
func TestMetricsKey(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "numbers") })
	handler := Health(HealthOptions{Ready: func() error { return nil }, Metrics: metrics, MetricsKey: "m-key", APIKey: theKey, Attempts: promptAttempts()})
	for authorization, want := range map[string]int{
		"": 401, "Bearer x": 401, withKey: 401, "Basic m-key": 401, "Bearer m-key": 200, "bearer m-key": 200,
	} {
		w := answerTo(handler, "GET", "/metrics?key=m-key", authorization, nil)
		if w.Code != want || (w.Body.String() == "numbers") != (want == 200) || want == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %d %s", authorization, w.Code, w.Body)
		}
	}
}

// Without a key /readyz does not show the address of Redis.
func TestReadinessTellsStrangersNoAddress(t *testing.T) {
	cause := errors.New("dial tcp 10.1.2.3:6379: connect: connection refused")
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("redis: no lease for 5s: %w", cause), "redis: no lease for 5s"},
		{fmt.Errorf("redis (%w) is gone", cause), "this instance cannot serve now; the log says why"},
		{errors.New("shutting down"), "shutting down"},
		{fmt.Errorf("%w", cause), ""},
	} {
		handler := Health(HealthOptions{Ready: func() error { return c.err }, MetricsKey: "m-key", APIKey: theKey})
		for authorization, exact := range map[string]bool{"": false, "Bearer x": false, "Bearer m-key": true, withKey: true} {
			w := answerTo(handler, "GET", "/readyz", authorization, nil)
			var got struct{ Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 503 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if exact && got.Message != c.err.Error() || !exact && got.Message != c.want {
				t.Errorf("%q: %q", authorization, got.Message)
			}
		}
	}
}

// A server is alive if it answers in time, also one that is not ready: a health check
// must not restart what only waits.
func TestProbe(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // never accepts: the kernel completes the handshake
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	serving := func(h http.Handler) net.Listener {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.Listener
	}
	busy := serving(Health(HealthOptions{Ready: func() error { return errors.New("busy") }}))
	gone := serving(nil)
	gone.Close()
	for _, c := range []struct {
		host     string
		listener net.Listener
		want     string // of the error; "": it is alive
	}{
		{"", busy, ""}, {"127.0.0.1", busy, ""}, {"localhost", busy, ""}, {"0.0.0.0", busy, ""},
		{"", serving(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })), "500"},
		{"", serving(http.RedirectHandler("/other", http.StatusFound)), "302"},
		{"", gone, "refused"},
		{"", silent, context.DeadlineExceeded.Error()},
	} {
		err := Probe(t.Context(), c.host, c.listener.Addr().(*net.TCPAddr).Port)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("host %q: got %v, want %s", c.host, err, c.want)
		}
	}
}

func TestProbeHost(t *testing.T) {
	for host, want := range map[string]string{
		"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "10.1.1.1": "10.1.1.1", "::1": "::1", "db.internal": "db.internal",
	} {
		if got := probeHost(host); got != want {
			t.Errorf("%q: got %q", host, got)
		}
	}
}
