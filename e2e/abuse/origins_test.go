package abuse

import (
	"net/http"
	"strings"
	"testing"
)

const appOrigin = "https://app.example.com"

// A page of a foreign origin is refused everywhere, before there is anything of
// it: no session, no connection, no answer to read.
func TestForeignOrigins(t *testing.T) {
	t.Parallel()
	s := serve(t, "CORS_ORIGINS="+appOrigin, "API_KEY="+apiKey)
	p := s.poll(t, "") // somebody's, whom the page wants to speak as
	foreign := []string{"https://evil.example.com", "http://app.example.com", "https://app.example.com.evil.example", "null"}
	before := s.metric("rollcall_connections")
	for _, origin := range foreign {
		for _, try := range []struct{ method, path string }{
			{"GET", "/socket.io/?EIO=4&transport=polling"},
			{"GET", p.path},
			{"POST", p.path},
			{"OPTIONS", "/socket.io/?EIO=4&transport=polling"},
			{"GET", "/api/online_users"},
			{"POST", "/api/emit"},
			{"OPTIONS", "/api/emit"},
			{"DELETE", "/api/users/1"},
		} {
			got := s.ask(try.method, try.path, "", "Origin: "+origin, "Authorization: Bearer "+apiKey)
			if got.status != http.StatusForbidden || got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s of %s: %d, allowed origin %q", try.method, try.path, origin, got.status, got.header.Get("Access-Control-Allow-Origin"))
			}
		}
		if _, err := s.open("", http.Header{"Origin": {origin}}); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("WebSocket of %s: %v", origin, err)
		}
	}
	if n := s.metric("rollcall_connections"); n != before {
		t.Errorf("%v connections were made", n-before)
	}
	s.countsRefusal("forbidden_origin", float64(5*len(foreign)))
	if got := p.post(`42["sync"]`); got.status != http.StatusOK {
		t.Errorf("the session that foreign pages spoke to: %d %s", got.status, got.body)
	}

	// Ours, and the server's own, may.
	for _, origin := range []string{appOrigin, s.url("")} {
		for _, path := range []string{"/socket.io/?EIO=4&transport=polling", "/api/online_users"} {
			if got := s.ask("GET", path, "", "Origin: "+origin); got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") == "" {
				t.Errorf("%s of %s: %d, allowed origin %q", path, origin, got.status, got.header.Get("Access-Control-Allow-Origin"))
			}
		}
		conn, err := s.open("", http.Header{"Origin": {origin}})
		if err != nil {
			t.Fatalf("WebSocket of %s: %v", origin, err)
		}
		conn.Close()
	}
}

// Whoever is no trusted proxy counts under the address it comes from, whatever
// it says; behind one the last address counts that it added itself.
func TestForwardedAddresses(t *testing.T) {
	t.Parallel()
	const handshake = "/socket.io/?EIO=4&transport=polling"
	for _, c := range []struct {
		name, trusted string
		headers       []string // of so many handshakes, one each
		taken         int      // of them
	}{
		{"spoofed, and nobody is trusted", "", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 2},
		{"spoofed, and somebody else is trusted", "10.0.0.0/8", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 2},
		{"clients of a proxy", "127.0.0.1", []string{"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"}, 4},
		{"one too many", "127.0.0.1", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"}, 3},
		{"one client that forges what stands before", "127.0.0.1",
			[]string{"10.1.1.1, 192.0.2.1", "10.1.1.2, 192.0.2.1", "10.1.1.3, 192.0.2.1", "127.0.0.1, 192.0.2.1"}, 2},
		{"no address at all", "127.0.0.1", []string{"one", "two", "three\x00", "<b>"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "MAX_CONNECTIONS_PER_ADDRESS=2", "TRUSTED_PROXIES="+c.trusted)
			taken := 0
			for _, forwarded := range c.headers {
				got := s.ask("GET", handshake, "", "X-Forwarded-For: "+strings.ReplaceAll(forwarded, "\x00", ""))
				switch got.status {
				case http.StatusOK:
					taken++
				case http.StatusTooManyRequests:
				default:
					t.Errorf("%s: %d %s", forwarded, got.status, got.body)
				}
			}
			if taken != c.taken {
				t.Errorf("%d of %d were taken, want %d", taken, len(c.headers), c.taken)
			}
			s.countsRefusal("too_many_connections", float64(len(c.headers)-c.taken))
		})
	}
}
