package abuse

import (
	"strings"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// A polling client that was signed out goes on POSTing. Until it has fetched its
// goodbye its requests are answered, but nothing in them is done.
func TestSignedOutIsNotHeard(t *testing.T) {
	const key = "the-key-of-the-app"
	s := serve(t, "API_KEY="+key)
	p := s.poll(t, "presence=none")
	p.post(`42["register",{"id":"bad","name":"Bad"}]` + "\x1e" + `42["join",{"room":"lobby","username":"Bad"}]`)
	listed := func() bool { return strings.Contains(s.ask("GET", "/api/online_users", "").body, "bad") }
	program.Eventually(t, patience, "the user is listed", listed)
	if got := s.ask("DELETE", "/api/users/bad", "", "Authorization: Bearer "+key); !strings.Contains(got.body, `"sockets":1`) {
		t.Fatalf("signing out: %d %s", got.status, got.body)
	}
	program.Eventually(t, patience, "the user is gone", func() bool { return !listed() })
	began, posts := time.Now(), 0
	for ; time.Since(began) < time.Second; posts++ {
		if got := p.post(`42["register",{"id":"bad"}]` + "\x1e" + `42["join",{"room":"lobby","username":"Bad"}]` + "\x1e" +
			`42["message",{"room":"lobby","content":"still here"}]`); got.status != 200 {
			t.Fatalf("a POST after the end: %d %s", got.status, got.body)
		}
		if listed() {
			t.Fatal("the user is listed again")
		}
	}
	for path, word := range map[string]string{"/api/rooms/lobby/users": "Bad", "/api/rooms/lobby/messages": "still here"} {
		if got := s.ask("GET", path, ""); strings.Contains(got.body, word) {
			t.Errorf("%s after the end: %s", path, got.body)
		}
	}
	t.Logf("%d POSTs after the end changed nothing", posts)
	goodbye := p.get().body
	for !strings.HasSuffix(goodbye, "41") {
		goodbye += p.get().body
	}
	if !strings.Contains(goodbye, `42["signed_out"]`) {
		t.Errorf("the client is told %q", goodbye)
	}
	if last := p.get().body; last != "1" {
		t.Errorf("and then %q", last)
	}
	s.counts("rollcall_connections", 0)
}
