package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func recorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// keyed are the requests that need the key.
var keyed = []exchange{
	{method: "DELETE", path: "/api/users/7"},
	{method: "POST", path: "/api/emit", body: `{"event":"x"}`},
}

func TestKey(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	for _, x := range keyed {
		for _, authorization := range []string{
			"", theKey, "Bearer", "Bearer ", "Bearer x", "Bearer " + theKey + "x", "Bearer " + theKey[1:], "Bearer " + strings.ToUpper(theKey),
			"Basic " + theKey, "Bearer" + theKey, "Bearer x " + theKey,
		} {
			s.want(s.exchange(x, "Authorization", authorization), 401, "unauthorized")
		}
		s.want(s.exchange(x, "X-Api-Key", theKey), 401, "unauthorized")
		inURL := x
		inURL.path += "?api_key=" + theKey + "&key=" + theKey + "&access_token=" + theKey
		s.want(s.exchange(inURL), 401, "unauthorized")
	}
	if len(s.emitted)+len(s.signed) > 0 {
		t.Errorf("done without a key: %v %v", s.emitted, s.signed)
	}
	for _, x := range keyed {
		for _, authorization := range []string{"Bearer " + theKey, "bearer   " + theKey} {
			if x := s.exchange(x, "Authorization", authorization, "Content-Type", "application/json"); x.status != 200 {
				t.Errorf("%q: %d %s", authorization, x.status, x.got)
			}
		}
	}
	// What only tells needs none.
	s.want(s.ask("GET", "/api/online_users"), 200, "[]")
}

// Without a key nobody has it, not even who shows an empty one.
func TestNoKey(t *testing.T) {
	s := serve(t, Options{})
	for _, x := range keyed {
		for _, authorization := range []string{"", "Bearer ", "Bearer x"} {
			s.want(s.exchange(x, "Authorization", authorization), 403, "no_api_key")
		}
	}
	if len(s.emitted)+len(s.signed) > 0 {
		t.Errorf("done: %v %v", s.emitted, s.signed)
	}
}

const ours, foreign = "https://app.example.com", "https://evil.example.com"

func onlyOurs(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || origin == ours || origin == "http://"+r.Host
}

// A page of a foreign origin gets nothing and changes nothing, whatever it asks.
func TestForeignOrigins(t *testing.T) {
	s := serve(t, Options{Key: theKey, OriginAllowed: onlyOurs})
	n := 0
	for path, item := range theContract.doc.Paths.Map() {
		path = strings.NewReplacer("{id}", "7", "{room}", "a").Replace(path)
		for method := range item.Operations() {
			for _, origin := range []string{foreign, "null", "https://app.example.com.evil.example.com", "http://app.example.com"} {
				n++
				x := s.ask(method, path, "Origin", origin, "Authorization", "Bearer "+theKey)
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
}

// The page of an allowed origin may read every answer, errors included.
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

// Each refusal is told by its code, for metrics.
func TestRefusalsAreTold(t *testing.T) {
	told := map[string]int{}
	s := serve(t, Options{OriginAllowed: onlyOurs, Refused: func(code string) { told[code]++ }})
	s.want(s.ask("GET", "/api/online_users", "Origin", foreign), 403, "forbidden_origin")
	s.want(s.ask("DELETE", "/api/users/7"), 403, "no_api_key")
	s.ask("GET", "/api/online_users")
	if len(told) != 2 || told["forbidden_origin"] != 1 || told["no_api_key"] != 1 {
		t.Error(told)
	}
}
