package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
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
	srv := httptest.NewServer(Health(HealthOptions{Ready: func() error { return notReady }, Metrics: metrics}))
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
	srv := httptest.NewServer(Health(HealthOptions{Ready: func() error { return nil }}))
	defer srv.Close()
	if res, _ := get(t, "GET", srv.URL+"/metrics"); res.StatusCode != 404 {
		t.Errorf("got %d", res.StatusCode)
	}
}

// With a MetricsKey, /metrics needs it.
func TestMetricsKey(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "numbers") })
	handler := Health(HealthOptions{Ready: func() error { return nil }, Metrics: metrics, MetricsKey: "m-key", APIKey: theKey})
	for authorization, want := range map[string]int{
		"": 401, "Bearer x": 401, "Bearer " + theKey: 401, "Basic m-key": 401, "Bearer m-key": 200, "bearer m-key": 200,
	} {
		r := httptest.NewRequest("GET", "/metrics?key=m-key", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
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
		for authorization, exact := range map[string]bool{"": false, "Bearer x": false, "Bearer m-key": true, "Bearer " + theKey: true} {
			r := httptest.NewRequest("GET", "/readyz", nil)
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
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
