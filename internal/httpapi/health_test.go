package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func get(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestHealth(t *testing.T) {
	var notReady error
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "numbers") })
	srv := httptest.NewServer(Health(func() error { return notReady }, metrics))
	defer srv.Close()

	check := func(method, path string, status int, body string) *http.Response {
		t.Helper()
		res, got := get(t, method, srv.URL+path)
		if res.StatusCode != status || got != body {
			t.Errorf("%s %s: got %d %q, want %d %q", method, path, res.StatusCode, got, status, body)
		}
		return res
	}
	for path, body := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n", "/metrics": "numbers"} {
		if res := check("GET", path, 200, body); res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", path)
		}
		check("HEAD", path, 200, "")
		res := check("POST", path, 405, `{"error":"method_not_allowed","message":"Only GET and HEAD are allowed here."}`+"\n")
		if allow := res.Header.Get("Allow"); allow != "GET, HEAD" {
			t.Errorf("%s: Allow is %q", path, allow)
		}
	}

	notReady = errors.New(`shutting "down"`)
	res, body := get(t, "GET", srv.URL+"/readyz")
	var got struct{ Error, Message string }
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	if res.StatusCode != 503 || got.Error != "not_ready" || got.Message != `shutting "down"` ||
		res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("got %d %v %q", res.StatusCode, res.Header, body)
	}
	// Not ready is still alive.
	check("GET", "/healthz", 200, "ok\n")
	check("GET", "/healthz/more", 404, "404 page not found\n")
}

func TestNoMetrics(t *testing.T) {
	srv := httptest.NewServer(Health(func() error { return nil }, nil))
	defer srv.Close()
	if res, _ := get(t, "GET", srv.URL+"/metrics"); res.StatusCode != 404 {
		t.Errorf("got %d", res.StatusCode)
	}
}
