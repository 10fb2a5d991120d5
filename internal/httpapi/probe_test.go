package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// listen serves h on a free port of addr and returns the port.
func listen(t *testing.T, addr string, h http.Handler) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	srv.Start()
	t.Cleanup(srv.Close)
	return l.Addr().(*net.TCPAddr).Port
}

func TestProbe(t *testing.T) {
	// Not ready is alive: a health check must not restart what only waits.
	port := listen(t, "127.0.0.1", Health(HealthOptions{Ready: func() error { return errors.New("busy") }}))
	for _, host := range []string{"", "127.0.0.1", "localhost", "0.0.0.0"} {
		if err := Probe(t.Context(), host, port); err != nil {
			t.Errorf("host %q: %v", host, err)
		}
	}
}

func TestProbeFails(t *testing.T) {
	sick := listen(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	if err := Probe(t.Context(), "", sick); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("a sick server: %v", err)
	}
	elsewhere := listen(t, "127.0.0.1", http.RedirectHandler("/other", http.StatusFound))
	if err := Probe(t.Context(), "", elsewhere); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("a redirect: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if err := Probe(t.Context(), "", port); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
}

// A server that accepts and does not answer fails after the timeout.
func TestProbeTimesOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // never accepts: the kernel completes the handshake
	began := time.Now()
	err = Probe(t.Context(), "", l.Addr().(*net.TCPAddr).Port)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 2*probeTimeout {
		t.Errorf("took %v", took)
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
