package abuse

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// Requests that never end: a byte a second, as long as the server waits. They
// run beside the tests of limits, which do not measure.

// dribble sends the beginning of a request, what follows a little later, and then
// a byte at a time. It returns how long it took the server to hang up.
func dribble(conn net.Conn, beginning, then string, drop []byte, patience time.Duration) (time.Duration, error) {
	began := time.Now()
	if _, err := io.WriteString(conn, beginning); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, conn) // an answer may come before the end
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return time.Since(began), nil
		case <-tick.C:
			if time.Since(began) > patience {
				return 0, fmt.Errorf("it is still connected after %s", patience)
			}
			conn.SetWriteDeadline(time.Now().Add(time.Second))
			next := append([]byte(then), drop...)
			then = ""
			if _, err := conn.Write(next); errors.Is(err, os.ErrDeadlineExceeded) {
				return 0, err
			}
		}
	}
}

func TestSlowRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, "PING_INTERVAL=2s", "PING_TIMEOUT=2s", "API_KEY="+apiKey)
	p := s.poll(t, "presence=none")
	post := func(path, header string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + header + "Content-Type: text/plain\r\nContent-Length: 60000\r\n\r\n"
	}
	upgrade := "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	var all sync.WaitGroup
	for _, c := range []struct {
		name, beginning, then, drop string
		many                        int
		within                      time.Duration
	}{
		{"headers", "GET / HTTP/1.1\r\nHost: x\r\n", "", "X", 100, 10 * time.Second},
		{"headers of a handshake", "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX: ", "", "X", 100, 10 * time.Second},
		{"the body of a polling POST", post(p.path, ""), "", "4", 1, 30 * time.Second},
		{"a body of the API, without the key", post("/api/emit", ""), "", " ", 50, 10 * time.Second},
		{"a body of the API", post("/api/emit", "Authorization: Bearer key\r\n"), "", " ", 50, 10 * time.Second},
		{"a WebSocket frame", upgrade, "\x81\xfe\xf0\x00\x00\x00\x00\x00", "4", 50, 4 * time.Second},
		{"a WebSocket that is silent", upgrade, "", "", 50, 4 * time.Second},
	} {
		var mu sync.Mutex // guards longest
		var longest time.Duration
		var these sync.WaitGroup
		for range c.many {
			conn := s.dialTCP()
			these.Go(func() {
				took, err := dribble(conn, c.beginning, c.then, []byte(c.drop), c.within+10*time.Second)
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				longest = max(longest, took)
			})
		}
		all.Go(func() {
			these.Wait()
			t.Logf("%s: %d connections are ended within %s", c.name, c.many, longest.Round(time.Millisecond))
		})
	}
	s.attack(t, limits{duration: 2 * time.Second, maxGrowth: 30}, func(int) { s.ask("GET", "/healthz", "") })
	all.Wait()
	program.Eventually(t, patience, "their sessions have ended", func() bool { return s.metric("rollcall_connections") == observers })
}
