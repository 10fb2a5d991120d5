package httpapi

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"rollcall/rooms"
)

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

func TestRoomNames(t *testing.T) {
	s := serve(t, Options{})
	long := strings.Repeat("é", maxRoom/2)
	for _, what := range []string{"/users", "/messages"} {
		if x := s.ask("GET", "/api/rooms/"+url.PathEscape(long)+what); x.status != 200 {
			t.Errorf("%s: %d %s", what, x.status, x.got)
		}
		for _, bad := range []exchange{
			{path: "/api/rooms/" + strings.Repeat("a", maxRoom+1) + what},
			{path: "/api/rooms/" + url.PathEscape(long+"a") + what, beyond: true},
			{path: "/api/rooms/a%80" + what, beyond: true},
		} {
			bad.method = "GET"
			s.want(s.exchange(bad), 400, "bad_room")
		}
	}
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
