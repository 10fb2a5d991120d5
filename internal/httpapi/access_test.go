package httpapi

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// keyed are the requests that need the key.
var keyed = []exchange{
	{method: "DELETE", path: "/api/users/7"},
	{method: "DELETE", path: "/api/users?id=7"},
	{method: "POST", path: "/api/emit", body: `{"event":"x"}`},
}

func TestKey(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	for _, x := range keyed {
		for _, authorization := range []string{
			"", theKey, "Bearer", "Bearer ", "Bearer x", withKey + "x", "Bearer " + theKey[1:], "Bearer " + strings.ToUpper(theKey),
			"Basic " + theKey, "Bearer" + theKey, "Bearer x " + theKey,
		} {
			s.want(s.exchange(x, "Authorization", authorization), 401, "unauthorized")
		}
		s.want(s.exchange(x, "X-Api-Key", theKey), 401, "unauthorized")
		inURL := x
		inURL.path = with(inURL.path, "api_key="+theKey+"&key="+theKey+"&access_token="+theKey)
		s.want(s.exchange(inURL), 401, "unauthorized")
	}
	if len(s.emitted)+len(s.signed) > 0 {
		t.Errorf("done without a key: %v %v", s.emitted, s.signed)
	}
	for _, x := range keyed {
		for _, authorization := range []string{withKey, "bearer   " + theKey} {
			if x := s.exchange(x, "Authorization", authorization, "Content-Type", "application/json"); x.status != 200 {
				t.Errorf("%q: %d %s", authorization, x.status, x.got)
			}
		}
	}
	// Reading needs none.
	s.want(s.ask("GET", "/api/online_users"), 200, "[]")

	// Without a key in the options no request has it, not even with an empty one.
	s = serve(t, Options{})
	for _, x := range keyed {
		for _, authorization := range []string{"", "Bearer ", "Bearer x"} {
			s.want(s.exchange(x, "Authorization", authorization), 403, "no_api_key")
		}
	}
	if len(s.emitted)+len(s.signed) > 0 {
		t.Errorf("done: %v %v", s.emitted, s.signed)
	}
}

// with adds parameters to a path.
func with(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}

// filled is a described path with an id and a room.
func filled(path string) string { return strings.NewReplacer("{id}", "7", "{room}", "a").Replace(path) }

// reads are the requests that change nothing.
func reads() (paths []string) {
	for path, item := range theContract.doc.Paths.Map() {
		switch {
		case item.Get == nil || path == "/api/openapi.json":
			continue
		case path == "/api/users":
			path += "?id=7"
		case path == "/api/rooms/users" || path == "/api/rooms/messages":
			path += "?room=a"
		}
		paths = append(paths, filled(path))
	}
	return paths
}

func onlyGood(token string) error {
	if token == "good" {
		return nil
	}
	return errors.New("no good token")
}

// With Authenticate, reading needs a token or the key, and caches must not share it.
func TestReadingNeedsAToken(t *testing.T) {
	s := serve(t, Options{Key: theKey, Authenticate: onlyGood})
	if n := len(reads()); n != 8 {
		t.Errorf("%d ways to read", n)
	}
	for _, path := range reads() {
		for _, authorization := range []string{"", "Bearer", "Bearer bad", "Basic good", "good", withKey + "x"} {
			x := s.ask("GET", path, "Authorization", authorization)
			s.want(x, 401, "unauthorized")
			if cache := x.answer.Get("Cache-Control"); !strings.HasPrefix(cache, "private") {
				t.Errorf("%s: %q", path, cache)
			}
			s.want(s.ask("HEAD", path, "Authorization", authorization), 401, "unauthorized")
			s.want(s.ask("GET", with(path, "token=good"), "If-None-Match", "*"), 401, "unauthorized")
		}
		for _, authorization := range []string{"Bearer good", "bearer  good", withKey} {
			x := s.ask("GET", path, "Authorization", authorization)
			vary := strings.Join(x.answer.Values("Vary"), ", ")
			if x.status != 200 || !strings.HasPrefix(x.answer.Get("Cache-Control"), "private") || !strings.Contains(vary, "Authorization") || !strings.Contains(vary, "Origin") {
				t.Errorf("%s with %q: %d, Vary %q, Cache-Control %q", path, authorization, x.status, vary, x.answer.Get("Cache-Control"))
			}
		}
	}
	s.want(s.ask("GET", "/api/openapi.json", "If-None-Match", "*"), 304, "")
	// A token is no key.
	s.want(s.exchange(keyed[0], "Authorization", "Bearer good"), 401, "unauthorized")
}

// With Guests and with Public everybody may read.
func TestReadingWithoutAToken(t *testing.T) {
	for _, opts := range []Options{{}, {Authenticate: onlyGood, Guests: true}, {Authenticate: onlyGood, Public: true}} {
		opts.Key = theKey
		s := serve(t, opts)
		for _, path := range reads() {
			for _, authorization := range []string{"", "Bearer bad", "Bearer good"} {
				if x := s.ask("GET", path, "Authorization", authorization); x.status != 200 {
					t.Errorf("%s with %q: %d", path, authorization, x.status)
				}
			}
		}
	}
}

// A request with the key is the app's and is not delayed.
func TestTheAppIsMarked(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	for authorization, want := range map[string]bool{withKey: true, "Bearer x": false, "": false} {
		for _, path := range []string{"/api/users/7", "/api/rooms/a/messages"} {
			if s.ask("GET", path, "Authorization", authorization); s.fromApp != want {
				t.Errorf("%s with %q is the app's: %v", path, authorization, s.fromApp)
			}
		}
	}
}

// Requests with a wrong key are delayed, a bounded number at a time, counted and logged;
// those with the right key or none are answered at once.
func TestWrongKeysAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var counted atomic.Int64
		attempts := NewAttempts(func(*http.Request) string { return "192.0.2.7" }, slog.New(slog.NewTextHandler(&log, nil)), func(code string) {
			if code == "wrong_key" {
				counted.Add(1)
			}
		})
		handler := newAPI(&fakeRooms{}, Options{Key: theKey, Authenticate: onlyGood, Attempts: attempts})
		ask := func(authorization string) int {
			return answerTo(handler, "DELETE", "/api/users/7", authorization, nil).Code
		}
		statuses := make(chan int, 2*maxAttempts)
		answered := func(n, status int) {
			t.Helper()
			synctest.Wait()
			if len(statuses) != n {
				t.Errorf("%d are answered, want %d", len(statuses), n)
			}
			for range len(statuses) {
				if got := <-statuses; got != status {
					t.Errorf("a wrong key got %d, want %d", got, status)
				}
			}
		}
		for range maxAttempts + 10 {
			go func() { statuses <- ask("Bearer wrong-" + theKey) }()
		}
		answered(10, 429)
		began := time.Now()
		if a, b := ask(withKey), ask(""); a != 200 || b != 401 || time.Since(began) > 0 {
			t.Errorf("the right key and none: %d and %d after %s", a, b, time.Since(began))
		}
		time.Sleep(attemptDelay)
		answered(maxAttempts, 401)
		if counted.Load() != maxAttempts+10 {
			t.Errorf("%d are counted", counted.Load())
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "address=192.0.2.7") || strings.Contains(got, theKey) {
			t.Errorf("logged: %s", got)
		}
		time.Sleep(logAttemptsEvery)
		ask("Bearer wrong")
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "attempts=110") {
			t.Errorf("logged: %s", got)
		}
	})
}

// Where everybody may read, a request with a wrong key is delayed and then answered.
func TestWrongKeysWhereReadingIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong := 0
		attempts := NewAttempts(func(*http.Request) string { return "" }, slog.New(slog.DiscardHandler), func(string) { wrong++ })
		handler := newAPI(&fakeRooms{}, Options{Key: theKey, Attempts: attempts})
		for authorization, delay := range map[string]time.Duration{"Bearer wrong": attemptDelay, withKey: 0, "Basic dTpw": 0, "": 0} {
			began := time.Now()
			if w := answerTo(handler, "GET", "/api/users/7", authorization, nil); w.Code != 200 || time.Since(began) != delay {
				t.Errorf("%q: %d after %s", authorization, w.Code, time.Since(began))
			}
		}
		if wrong != 1 {
			t.Errorf("%d wrong keys are counted", wrong)
		}
	})
}

// When too many wait, every path answers 429.
func TestTooManyAttempts(t *testing.T) {
	attempts := promptAttempts()
	attempts.waiting = nil // nobody may wait
	s := serve(t, Options{Key: theKey, Authenticate: onlyGood, Attempts: attempts})
	for _, path := range reads() {
		s.want(s.ask("GET", path, "Authorization", "Bearer bad"), 429, "too_many_attempts")
	}
	for _, x := range keyed {
		s.want(s.exchange(x, "Authorization", "Bearer bad"), 429, "too_many_attempts")
	}
}

// The app's requests are logged, without any key.
func TestAudit(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, Options{Key: theKey, Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.app("DELETE", "/api/users/7?revoke=true&after=1s")
	s.post(exchange{body: `{"event":"news","args":["secret"],"to":{"room":"lobby"}}`})
	s.ask("DELETE", "/api/users/8", "Authorization", "Bearer x")
	for _, want := range []string{
		`msg="the API signed a user out" user=7 sockets=2 after=1s revoke=true address=192.0.2.7`,
		`msg="the API sent an event" event=news to=room:lobby address=192.0.2.7`,
	} {
		if !strings.Contains(log.String(), want+"\n") {
			t.Errorf("got %s, want %s", log.String(), want)
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 2 || strings.Contains(got, "secret") || strings.Contains(got, theKey) {
		t.Errorf("got %s", got)
	}
}

const ours, foreign = "https://app.example.com", "https://evil.example.com"

func onlyOurs(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || origin == ours || origin == "http://"+r.Host
}

// A page of a foreign origin, and of a name that only leads here, reads nothing and
// changes nothing. Each refusal is counted.
func TestForeignOrigins(t *testing.T) {
	counts := map[string]int{}
	s := serve(t, Options{Key: theKey, OriginAllowed: onlyOurs, Refused: func(code string) { counts[code]++ }})
	n, hosts := 0, 0
	for path, item := range theContract.doc.Paths.Map() {
		path = filled(path)
		for method := range item.Operations() {
			hosts++
			if x := s.ask(method, path, "Host", foreignHost, "Authorization", withKey); x.status != 403 || !strings.Contains(x.got, `"forbidden_host"`) {
				t.Errorf("%s %s of a foreign host: %d %s", method, path, x.status, x.got)
			}
			for _, origin := range []string{foreign, "null", "https://app.example.com.evil.example.com", "http://app.example.com"} {
				n++
				x := s.ask(method, path, "Origin", origin, "Authorization", withKey)
				s.want(x, 403, "forbidden_origin")
				preflight := s.ask("OPTIONS", path, "Origin", origin, "Access-Control-Request-Method", method)
				s.want(preflight, 403, "forbidden_origin")
				for _, x := range []exchange{x, preflight} {
					if x.answer.Get("Vary") != "Origin" || x.answer.Get("Access-Control-Allow-Origin") != "" {
						t.Error(x.answer)
					}
				}
			}
		}
	}
	if n < 30 || len(s.emitted)+len(s.signed) > 0 {
		t.Errorf("%d asked; done: %v %v", n, s.emitted, s.signed)
	}
	s.want(s.app("GET", "/api/online_users"), 200, "[]")
	if want := map[string]int{"forbidden_host": hosts, "forbidden_origin": 2 * n}; !maps.Equal(counts, want) {
		t.Errorf("counted: %v, want %v", counts, want)
	}
}

// A page of an allowed origin may read every answer, errors included.
func TestAllowedOrigins(t *testing.T) {
	s := serve(t, Options{OriginAllowed: onlyOurs})
	for _, x := range []exchange{
		{method: "GET", path: "/api/online_users", status: 200},
		{method: "GET", path: "/api/nothing", status: 404},
		{method: "PUT", path: "/api/emit", status: 405},
		{method: "POST", path: "/api/emit", status: 403},
	} {
		got := s.exchange(x, "Origin", ours)
		h := got.answer
		if got.status != x.status || h.Get("Access-Control-Allow-Origin") != ours && x.method != "PUT" || h.Get("Vary") != "Origin" ||
			h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %d %v", x.method, x.path, got.status, h)
		}
	}
	if h := s.ask("GET", "/api/online_users", "Origin", ours).answer; !strings.EqualFold(h.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Error(h)
	}
	// Without an origin, and from the server's own page.
	s.want(s.ask("GET", "/api/online_users"), 200, "[]")
	if vary := s.ask("GET", "/api/online_users").answer.Get("Vary"); vary != "Origin" {
		t.Errorf("a cache would give this to pages that may not read it: Vary is %q", vary)
	}
	s.want(s.ask("GET", "/api/online_users", "Origin", s.url), 200, "[]")

	// By default everybody may.
	s = serve(t, Options{})
	if x := s.ask("GET", "/api/online_users", "Origin", foreign); x.status != 200 || x.answer.Get("Access-Control-Allow-Origin") != foreign {
		t.Errorf("%d %v", x.status, x.answer)
	}
}

func TestPreflight(t *testing.T) {
	s := serve(t, Options{OriginAllowed: onlyOurs})
	for method, path := range map[string]string{"DELETE": "/api/users/7", "POST": "/api/emit", "GET": "/api/online_users"} {
		x := s.ask("OPTIONS", path, "Origin", ours,
			"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,content-type,if-none-match")
		h := x.answer
		if x.status != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != ours ||
			!strings.Contains(h.Get("Access-Control-Allow-Methods"), method) ||
			h.Get("Access-Control-Allow-Headers") != "authorization,content-type,if-none-match" ||
			h.Get("Access-Control-Max-Age") != "600" || !strings.HasPrefix(strings.Join(h.Values("Vary"), ", "), "Origin") {
			t.Errorf("%s %s: %d %v", method, path, x.status, h)
		}
	}
	x := s.ask("OPTIONS", "/api/emit", "Origin", ours, "Access-Control-Request-Method", "PUT")
	if x.answer.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("PUT may be tried: %v", x.answer)
	}
}
