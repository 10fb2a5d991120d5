package httpapi

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"rollcall/rooms"
)

func TestOnlineUsers(t *testing.T) {
	s := serve(t, Options{})
	list := `[{"id":12345678901234567890, "x":1.50},{"name":"<é>"}]`
	s.setList(list)
	x := s.ask("GET", "/api/online_users")
	s.want(x, 200, list)
	etag := x.answer.Get("ETag")
	if x.answer.Get("Cache-Control") != "no-cache" || x.answer.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Error(x.answer)
	}
	head := s.ask("HEAD", "/api/online_users")
	s.want(head, 200, "")
	if head.answer.Get("ETag") != etag || head.answer.Get("Content-Length") != x.answer.Get("Content-Length") {
		t.Errorf("HEAD: %v, GET: %v", head.answer, x.answer)
	}
	for _, known := range []string{etag, "W/" + etag, `"a", W/"b,c" ,` + etag + `,"d"`, "*", " * "} {
		for _, method := range []string{"GET", "HEAD"} {
			x := s.ask(method, "/api/online_users", "If-None-Match", known)
			s.want(x, 304, "")
			if x.answer.Get("ETag") != etag || x.answer.Get("Cache-Control") != "no-cache" || x.answer.Get("Vary") != "Origin" {
				t.Error(x.answer)
			}
		}
	}
	s.want(s.ask("GET", "/api/online_users", "If-None-Match", `"a"`, "If-None-Match", etag), 304, "")
	for _, other := range []string{`"a"`, strings.Trim(etag, `"`), ",", `"`, `W/`, `"*"`} {
		s.want(s.ask("GET", "/api/online_users", "If-None-Match", other), 200, list)
	}

	// Another list is another tag, the same list the same tag: on another
	// instance, too.
	s.setList(`[]`)
	x = s.ask("GET", "/api/online_users", "If-None-Match", etag)
	s.want(x, 200, "[]")
	if x.answer.Get("ETag") == etag {
		t.Error("two lists have one tag")
	}
	other := serve(t, Options{})
	other.setList(list)
	other.want(other.ask("GET", "/api/online_users", "If-None-Match", etag), 304, "")
}

// The tag is made anew only for another slice, and always then.
func TestTagOfTheSameSlice(t *testing.T) {
	a, b := []byte("[1]"), []byte("[2]")
	for _, tc := range []struct {
		a, b []byte
		want bool
	}{{a, a, true}, {a, a[:2], false}, {a, b, false}, {a, a[1:], false}, {nil, nil, false}, {a[:0], a[:0], false}} {
		if got := sameSlice(tc.a, tc.b); got != tc.want {
			t.Errorf("%q %q: %v", tc.a, tc.b, got)
		}
	}
}

func FuzzHasTag(f *testing.F) {
	for _, s := range []string{`"x"`, `W/"x"`, `"a","x"`, `*`, `"`, `"a"x"`, `W/W/"x"`, `,, "x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if hasTag([]string{header}, `"x"`) && !strings.Contains(header, `"x"`) && !strings.Contains(header, "*") {
			t.Errorf("%q has it", header)
		}
		// Before whatever else: it is found.
		if !hasTag([]string{`W/"a,b" , "x",` + header}, `"x"`) {
			t.Errorf("before %q it is not found", header)
		}
	})
}

func TestCount(t *testing.T) {
	s := serve(t, Options{})
	x := s.ask("GET", "/api/online_users/count")
	s.want(x, 200, `{"users":6,"sockets":9}`)
	if x.answer.Get("Cache-Control") != "no-store" {
		t.Error(x.answer)
	}
}

func TestUser(t *testing.T) {
	s := serve(t, Options{})
	odd := "a/b?c#%2F é\x00"
	s.users = map[string]rooms.UserInfo{
		"7":    {ID: "7", Online: true, Status: rooms.Active, Since: 1700000000000, LastActive: 1700000000001},
		"8":    {ID: "8", Online: true, Status: rooms.Away, Since: 1, LastActive: 2},
		"9":    {ID: "9", LastActive: 3},
		"10":   {ID: "10", Status: rooms.Hidden, Since: 4, LastActive: 5}, // even if rooms says more than it should
		odd:    {ID: odd, LastActive: 6},
		"..":   {ID: "..", LastActive: 7},
		"a+b ": {ID: "a+b ", LastActive: 8},
	}
	for path, want := range map[string]string{
		"7":                 `{"id":"7","online":true,"status":"active","since":1700000000000,"last_active":1700000000001}`,
		"8":                 `{"id":"8","online":true,"status":"away","since":1,"last_active":2}`,
		"9":                 `{"id":"9","online":false,"last_active":3}`,
		"10":                `{"id":"10","online":false,"last_active":5}`,
		"nobody":            `{"id":"nobody","online":false}`,
		url.PathEscape(odd): `{"id":"a/b?c#%2F é\u0000","online":false,"last_active":6}`,
		"%2E%2e":            `{"id":"..","online":false,"last_active":7}`,
		"a+b%20":            `{"id":"a+b ","online":false,"last_active":8}`,
	} {
		s.want(s.ask("GET", "/api/users/"+path), 200, want)
		s.want(s.ask("HEAD", "/api/users/"+path), 200, "")
	}
	if !s.deadline {
		t.Error("Redis may keep a request waiting for ever")
	}
}

func TestIDs(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	long := strings.Repeat("é", maxID/2)
	s.want(s.ask("GET", "/api/users/"+url.PathEscape(long)), 200, `{"id":"`+long+`","online":false}`)
	for _, bad := range []exchange{
		{path: "/api/users/" + strings.Repeat("a", maxID+1)},
		{path: "/api/users/" + url.PathEscape(long+"a"), beyond: true}, // characters are fewer than bytes
		{path: "/api/users/%ff", beyond: true},
	} {
		for _, bad.method = range []string{"GET", "DELETE"} {
			s.want(s.exchange(bad, "Authorization", "Bearer "+theKey), 400, "bad_id")
		}
	}
	if len(s.signed) > 0 {
		t.Errorf("signed out: %q", s.signed)
	}
}

func TestSignOut(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	s.want(s.ask("DELETE", "/api/users/7", "Authorization", "Bearer "+theKey), 200, `{"id":"7","sockets":2}`)
	s.want(s.ask("DELETE", "/api/users/a%2Fb", "Authorization", "Bearer "+theKey), 200, `{"id":"a/b","sockets":2}`)
	if want := []string{"7", "a/b"}; !slices.Equal(s.signed, want) {
		t.Errorf("signed out: %q, want %q", s.signed, want)
	}
}
