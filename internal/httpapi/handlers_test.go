package httpapi

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/rooms"
)

func TestOnlineUsers(t *testing.T) {
	s := serve(t, Options{})
	list := `[{"id":12345678901234567890, "x":1.50},{"name":"<é>"}]`
	s.list = []byte(list)
	x := s.ask("GET", "/api/online_users")
	s.want(x, 200, list)
	etag := x.answer.Get("ETag")
	if x.answer.Get("Cache-Control") != "private, no-cache" || x.answer.Get("Content-Type") != "application/json; charset=utf-8" {
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
			if x.answer.Get("ETag") != etag || x.answer.Get("Cache-Control") != "private, no-cache" || x.answer.Get("Vary") != "Origin" {
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
	s.list = []byte(`[]`)
	x = s.ask("GET", "/api/online_users", "If-None-Match", etag)
	s.want(x, 200, "[]")
	if x.answer.Get("ETag") == etag {
		t.Error("two lists have one tag")
	}
	other := serve(t, Options{})
	other.list = []byte(list)
	other.want(other.ask("GET", "/api/online_users", "If-None-Match", etag), 304, "")
}

// Only another slice gets a new tag.
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

func TestCount(t *testing.T) {
	s := serve(t, Options{})
	x := s.ask("GET", "/api/online_users/count")
	s.want(x, 200, `{"users":6,"sockets":9}`)
	if x.answer.Get("Cache-Control") != "private, no-store" {
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

// Only the app gets when a hidden user was last active.
func TestHiddenUsersLastActive(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	s.users = map[string]rooms.UserInfo{"7": {ID: "7", LastActive: 5}, "8": {ID: "8", LastActive: 6}}
	s.hidden = map[string]bool{"7": true}
	for _, path := range []string{"/api/users/7", "/api/users?id=7"} {
		s.want(s.ask("GET", path), 200, `{"id":"7","online":false}`)
		s.want(s.app("GET", path), 200, `{"id":"7","online":false,"last_active":5}`)
	}
	s.want(s.ask("GET", "/api/users/8"), 200, `{"id":"8","online":false,"last_active":6}`)
}

// Every id and every room's name can be used, at least in the query, and no path is
// redirected.
func TestNames(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	long := func(bytes int) string { return strings.Repeat("é", bytes/2) }
	ids := []string{".", "..", "a/b", "//", "../../etc", "a b", "é?&=#%", "\x00", "%2e", "users", "a;b", "+", long(maxID)}
	for _, id := range ids {
		name, _ := json.Marshal(id)
		want := `{"id":` + string(name) + `,"online":false}`
		s.want(s.ask("GET", "/api/users?id="+url.QueryEscape(id)), 200, want)
		s.want(s.ask("GET", "/api/users/"+url.PathEscape(id)), 200, want)
		s.want(s.app("DELETE", "/api/users?id="+url.QueryEscape(id)), 200, `{"id":`+string(name)+`,"sockets":2}`)
		room := id[:min(len(id), maxRoom)]
		name, _ = json.Marshal(room)
		want = `{"room":` + string(name) + `,"users":[],"count":0}`
		s.want(s.ask("GET", "/api/rooms/users?room="+url.QueryEscape(room)), 200, want)
		s.want(s.ask("GET", "/api/rooms/"+url.PathEscape(room)+"/users"), 200, want)
		s.want(s.ask("GET", "/api/rooms/messages?room="+url.QueryEscape(room)), 200, `[]`)
		s.want(s.ask("GET", "/api/rooms/"+url.PathEscape(room)+"/messages"), 200, `[]`)
	}
	longID, longRoom := strings.Repeat("a", maxID+1), strings.Repeat("a", maxRoom+1)
	for code, paths := range map[string][]string{
		"bad_id":   {"/api/users", "/api/users?id=", "/api/users?ID=7", "/api/users?id=" + longID, "/api/users/" + longID},
		"bad_room": {"/api/rooms/users", "/api/rooms/messages", "/api/rooms/messages?room=", "/api/rooms/users?room=" + longRoom, "/api/rooms/" + longRoom + "/users", "/api/rooms/" + longRoom + "/messages"},
	} {
		for _, path := range paths {
			s.want(s.ask("GET", path), 400, code)
			if code == "bad_id" {
				s.want(s.app("DELETE", path), 400, code)
			}
		}
	}
	// More than a schema can say: characters are fewer than bytes.
	longID, longRoom = url.PathEscape(long(maxID)+"a"), url.PathEscape(long(maxRoom)+"a")
	for code, paths := range map[string][]string{
		"bad_id":   {"/api/users?id=7&id=8", "/api/users?id=%ff", "/api/users?id=%zz", "/api/users/%ff", "/api/users/" + longID},
		"bad_room": {"/api/rooms/users?room=a%80", "/api/rooms/a%80/users", "/api/rooms/a%80/messages", "/api/rooms/" + longRoom + "/users", "/api/rooms/" + longRoom + "/messages"},
	} {
		for _, path := range paths {
			s.want(s.exchange(exchange{method: "GET", path: path, beyond: true}), 400, code)
			if code == "bad_id" {
				s.want(s.exchange(exchange{method: "DELETE", path: path, beyond: true}, "Authorization", withKey), 400, code)
			}
		}
	}
	if !slices.Equal(s.signed, ids) {
		t.Errorf("signed out: %q, want %q", s.signed, ids)
	}
}

// A sign-out can be delayed, so that the app's own answer arrives first; with revoke it
// revokes the tokens issued until then too.
func TestSignOutLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Int32
		f := &fakeRooms{}
		scheduler := &Scheduler{}
		handler := newAPI(f, Options{Key: theKey, Scheduler: scheduler, Revoke: func(string) { revoked.Add(1) }})
		ask := func(query string) {
			t.Helper()
			w := answerTo(handler, "DELETE", "/api/users/7"+query, withKey, nil)
			if w.Code != 200 || w.Body.String() != `{"id":"7","sockets":2}`+"\n" {
				t.Errorf("%s: %d %s", query, w.Code, w.Body)
			}
		}
		done := func(signed, revocations int) {
			t.Helper()
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.signed) != signed || int(revoked.Load()) != revocations {
				t.Errorf("%d signed out and %d revocations, want %d and %d", len(f.signed), revoked.Load(), signed, revocations)
			}
		}
		ask("?after=1s&revoke=true")
		done(0, 1) // no new token is of use in the meantime
		time.Sleep(time.Second - time.Millisecond)
		done(0, 1)
		time.Sleep(time.Millisecond)
		done(1, 2)
		ask("?after=0s&revoke=false")
		done(2, 2)
		ask("?revoke=true")
		done(3, 3)
		ask("?after=500ms")
		ask("?after=10s&revoke=true")
		time.Sleep(500 * time.Millisecond)
		done(4, 4)
		scheduler.Flush() // the process ends: nothing is lost
		done(5, 5)
		ask("?after=10s") // at once from now on
		done(6, 5)
		time.Sleep(time.Minute)
		done(6, 5)
	})
}

func TestSignOutParameters(t *testing.T) {
	s := serve(t, Options{Key: theKey})
	for _, path := range []string{"/api/users/7?", "/api/users?id=7&"} {
		for _, good := range []string{"after=1s", "after=10s", "after=0s", "after=250ms", "after=1.5s", "revoke=true", "revoke=false", "after=1s&revoke=true"} {
			s.want(s.app("DELETE", path+good), 200, `{"id":"7","sockets":2}`)
		}
		for bad, code := range map[string]string{
			"after=": "bad_after", "after=1": "bad_after", "after=-1s": "bad_after", "after=1m": "bad_after", "after=soon": "bad_after", "after=1h1s": "bad_after",
			"revoke=": "bad_revoke", "revoke=1": "bad_revoke", "revoke=TRUE": "bad_revoke", "revoke": "bad_revoke",
		} {
			s.want(s.app("DELETE", path+bad), 400, code)
		}
		for bad, code := range map[string]string{"after=11s": "bad_after", "after=10001ms": "bad_after", "after=1s&after=2s": "bad_after", "revoke=true&revoke=false": "bad_revoke"} {
			s.want(s.exchange(exchange{method: "DELETE", path: path + bad, beyond: true}, "Authorization", withKey), 400, code)
		}
	}
}

// Over the bound functions are called at once.
func TestSchedulerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Scheduler
		n := 0
		for range maxScheduled + 5 {
			s.Do(time.Second, func() { n++ })
		}
		if n != 5 {
			t.Errorf("%d were done at once", n)
		}
		s.Flush()
		if n != maxScheduled+5 {
			t.Errorf("%d were done in all", n)
		}
	})
}

func TestRooms(t *testing.T) {
	s := serve(t, Options{})
	odd := "a/b %"
	s.members = map[string][]string{odd: {"Ada", "Bö\"b"}, "empty": {}}
	s.said = map[string][]rooms.ChatMessage{odd: {
		{Room: odd, ID: 41, Username: "Ada", Content: "hi\n", At: 1767323045678},
		{Room: odd, ID: 42, Username: "Bö\"b", Content: "1 \\ 2", At: 1767323046000},
	}}
	path := "/api/rooms/" + url.PathEscape(odd)
	s.want(s.ask("GET", path+"/users"), 200, `{"room":"a/b %","users":["Ada","Bö\"b"],"count":2}`)
	s.want(s.ask("GET", path+"/messages"), 200,
		`[{"id":41,"username":"Ada","content":"hi\n","timestamp":"2026-01-02T03:04:05.678Z"},`+
			`{"id":42,"username":"Bö\"b","content":"1 \\ 2","timestamp":"2026-01-02T03:04:06.000Z"}]`)
	if !s.deadline {
		t.Error("Redis may keep a request waiting for ever")
	}
	for _, room := range []string{"empty", "unknown"} {
		s.want(s.ask("GET", "/api/rooms/"+room+"/users"), 200, `{"room":"`+room+`","users":[],"count":0}`)
		s.want(s.ask("GET", "/api/rooms/"+room+"/messages"), 200, `[]`)
	}
	s.want(s.ask("HEAD", path+"/users"), 200, "")
	s.want(s.ask("HEAD", path+"/messages"), 200, "")
}

func TestHistoryUnavailable(t *testing.T) {
	s := serve(t, Options{})
	s.err = errors.New("redis://u:hunter2@db does not answer")
	for _, path := range []string{"/api/rooms/a/messages", "/api/rooms/messages?room=a"} {
		x := s.ask("GET", path)
		s.want(x, 503, "unavailable")
		if strings.Contains(x.got, "hunter2") {
			t.Error(x.got)
		}
	}
}
