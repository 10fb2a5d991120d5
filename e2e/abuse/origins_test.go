package abuse

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/e2e/program"
)

const appOrigin = "https://app.example.com"

// allowed is the origin that may read an answer.
func allowed(a program.Answer) string { return a.Header.Get("Access-Control-Allow-Origin") }

// getAll demands a status for GETs of all paths. No answer that is not 200 may be
// read by an origin, or open a session.
func (s *server) getAll(t *testing.T, status int, paths []string, headers ...string) {
	t.Helper()
	for _, path := range paths {
		got := s.Get(path, headers...)
		if got.Status != status || status != http.StatusOK && (allowed(got) != "" || strings.Contains(got.Body, "sid")) {
			t.Errorf("%s with %q: %d %.100s, allowed origin %q", path, headers, got.Status, got.Body, allowed(got))
		}
	}
}

// A page of a foreign origin is refused everywhere, before a session or a connection
// is made, and can read no answer.
func TestForeignOrigins(t *testing.T) {
	t.Parallel()
	s := serve(t, "CORS_ORIGINS="+appOrigin, "API_KEY="+apiKey)
	p := s.poll("") // of another client, as which the page wants to act
	foreign := []string{"https://evil.example.com", "http://app.example.com", "https://app.example.com.evil.example", "null"}
	before := s.metric("rollcall_connections")
	for _, origin := range foreign {
		for _, try := range []struct{ method, path string }{
			{"GET", pollingPath},
			{"GET", p.path},
			{"POST", p.path},
			{"OPTIONS", pollingPath},
			{"GET", "/api/online_users"},
			{"POST", "/api/emit"},
			{"OPTIONS", "/api/emit"},
			{"DELETE", "/api/users/1"},
		} {
			got := s.Ask(try.method, try.path, "", "Origin: "+origin, withKey)
			if got.Status != http.StatusForbidden || allowed(got) != "" {
				t.Errorf("%s %s of %s: %d, allowed origin %q", try.method, try.path, origin, got.Status, allowed(got))
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
	if got := p.post(`42["sync"]`); got.Status != http.StatusOK {
		t.Errorf("the session that foreign pages sent to: %d %s", got.Status, got.Body)
	}

	// The app's origin, and the server's own, may.
	for _, origin := range []string{appOrigin, s.URL("")} {
		s.getAll(t, http.StatusOK, []string{pollingPath, "/api/online_users"}, "Origin: "+origin)
		conn, err := s.open("", http.Header{"Origin": {origin}})
		if err != nil {
			t.Fatalf("WebSocket of %s: %v", origin, err)
		}
		conn.Close()
	}
}

// A page can send requests without Origin: <script> and <img> do. So the other
// headers of browsers count, and JSONP, which a script could read, is off.
func TestForeignPagesWithoutOrigin(t *testing.T) {
	t.Parallel()
	s := serve(t, "CORS_ORIGINS="+appOrigin, "API_KEY="+apiKey)
	paths := []string{
		"/socket.io/?EIO=3&transport=polling", "/socket.io/?EIO=4&transport=polling&t=1", "/socket.io?EIO=4&transport=polling",
		"/socket.io/1/?EIO=3&transport=polling", "/api/online_users", "/api/online_users/count", "/api/users/1", "/api/rooms/a/messages",
	}
	before := s.metric("rollcall_connections")
	refused := 0
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site"},
		{"Sec-Fetch-Site: cross-site", "Referer: " + appOrigin + "/"},
		{"Sec-Fetch-Site: same-site", "Referer: https://evil.example.com/"},
		{"Referer: https://evil.example.com/page"},
		{"Referer: http://app.example.com/"},
		{"Referer: " + appOrigin + ".evil.example/"},
		{"Origin: ", "Sec-Fetch-Site: cross-site"},
	} {
		s.getAll(t, http.StatusForbidden, paths, headers...)
		refused += 4                                                                      // those of Socket.IO
		s.getAll(t, http.StatusOK, []string{"/", "/rollcall.js", "/healthz"}, headers...) // files are public
	}
	s.countsRefusal("forbidden_origin", float64(refused))
	for _, query := range []string{"j=0", "j", "j=0&b64=1"} {
		for _, headers := range [][]string{nil, {"Referer: " + appOrigin + "/"}, {"Origin: " + appOrigin}} {
			got := s.Get("/socket.io/?EIO=3&transport=polling&"+query, headers...)
			if got.Status != http.StatusForbidden || strings.Contains(got.Body, "sid") {
				t.Errorf("JSONP with %s and %q: %d %.100s", query, headers, got.Status, got.Body)
			}
		}
	}
	s.countsRefusal("jsonp", 9)
	if n := s.metric("rollcall_connections"); n != before {
		t.Errorf("%v connections were made", n-before)
	}
	for _, headers := range [][]string{
		nil, {"Origin: " + appOrigin, "Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-origin", "Referer: " + s.URL("/")}, {"Sec-Fetch-Site: none"}, {"Referer: " + appOrigin + "/x"},
	} {
		s.getAll(t, http.StatusOK, paths, headers...)
	}
}

// A page whose host name resolves to the server (DNS rebinding) is refused for that name.
func TestForeignHosts(t *testing.T) {
	t.Parallel()
	s := serve(t, "CORS_ORIGINS="+appOrigin, "ALLOWED_HOSTS=127.0.0.1,*.app.example.com,app.example.com:8000")
	paths := []string{"/", "/rollcall.js", "/metrics", pollingPath, "/socket.io/?EIO=3&transport=polling&j=0", "/api/online_users", "/nothing", "/api/../healthz"}
	for _, host := range []string{"evil.example", "evil.example:" + s.Port, "app.example.com", "app.example.com:8001", "xapp.example.com:8000", "127.0.0.1.evil.example", "127.0.0.1@evil.example", ""} {
		for _, path := range paths {
			if got := s.askHost(host, path, "X-Forwarded-Host: 127.0.0.1", "Origin: http://"+host); got != http.StatusForbidden && got != http.StatusBadRequest {
				t.Errorf("%s of %q: %d", path, host, got)
			}
		}
		if host == "" || strings.Contains(host, "@") {
			continue // no such request gets as far
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			if got := s.askHost(host, path); got != http.StatusOK {
				t.Errorf("%s of %q: %d", path, host, got)
			}
		}
	}
	for _, host := range []string{"127.0.0.1:" + s.Port, "a.app.example.com", "A.b.App.Example.com:99", "app.example.com:8000", "app.example.com.:8000"} {
		if got := s.askHost(host, pollingPath); got != http.StatusOK {
			t.Errorf("%q: %d", host, got)
		}
	}
	if s.metric(`rollcall_refusals_total{reason="forbidden_host"}`) == 0 {
		t.Error("refusals are not counted")
	}
}

// askHost sends a GET for a host that no client library checks.
func (s *server) askHost(host, path string, headers ...string) int {
	s.T.Helper()
	conn := s.dialTCP()
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", path, host, strings.Join(append(headers, ""), "\r\n"))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.T.Fatalf("%s of %q: %v", path, host, err)
	}
	response.Body.Close()
	return response.StatusCode
}

// A client that is no trusted proxy is counted under the address of its connection,
// whatever its headers say; behind a trusted proxy the address counts that the
// proxy added last.
func TestForwardedAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, trusted string
		headers       []string // of so many handshakes, one each
		taken         int      // of them
	}{
		{"spoofed, and nobody is trusted", "", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 2},
		{"clients of a proxy", "127.0.0.1", []string{"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"}, 4},
		{"one client that forges what stands before", "127.0.0.1",
			[]string{"10.1.1.1, 192.0.2.1", "10.1.1.2, 192.0.2.1", "10.1.1.3, 192.0.2.1", "127.0.0.1, 192.0.2.1"}, 2},
		{"one client with ports, as Azure writes it", "127.0.0.1", []string{"192.0.2.1:5001", "192.0.2.1:5002", "192.0.2.1", "::ffff:192.0.2.1"}, 2},
		{"one network of IPv6, in many spellings", "127.0.0.1", []string{"2001:db8::1", "[2001:db8::2]:443", "2001:DB8:0:0:ffff::3", "2001:db8::4%eth0"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "MAX_CONNECTIONS_PER_ADDRESS=2", "TRUSTED_PROXIES="+c.trusted)
			taken := 0
			for _, forwarded := range c.headers {
				got := s.Get(pollingPath, "X-Forwarded-For: "+forwarded)
				if got.Status == http.StatusOK {
					taken++
				} else if got.Status != http.StatusTooManyRequests {
					t.Errorf("%s: %d %s", forwarded, got.Status, got.Body)
				}
			}
			if taken != c.taken {
				t.Errorf("%d of %d were taken, want %d", taken, len(c.headers), c.taken)
			}
			s.countsRefusal("too_many_connections", float64(len(c.headers)-c.taken))
		})
	}
}
