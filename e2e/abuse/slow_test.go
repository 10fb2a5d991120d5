package abuse

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/e2e/program"
)

// sendUnread sends a request over a connection that receives next to nothing.
func (s *server) sendUnread(request string) net.Conn {
	s.T.Helper()
	conn := s.dialTCP()
	conn.(*net.TCPConn).SetReadBuffer(4096)
	if _, err := conn.Write([]byte(request)); err != nil {
		s.T.Fatal(err)
	}
	return conn
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n" }

// unread has clients ask and read nothing of the answers: over WebSocket, over
// polling, of a candidate for an upgrade and of plain HTTP. All that have a session
// are registered, with ids that begin with ghost.
func unread(t testing.TB, s *server) {
	for i := range 2 {
		p := s.poll("presence=none")
		p.post(`42["join",{"room":"unread"}]`)
		p.post(fmt.Sprintf(`42["register",{"id":"ghost-%d"}]`, i))
		s.sendUnread(get(p.path))

		conn := s.connectUnread(t)
		for _, packet := range []string{`42["join",{"room":"unread"}]`, fmt.Sprintf(`42["register",{"id":"ghost-ws-%d"}]`, i)} {
			conn.WriteMessage(websocket.TextMessage, []byte(packet))
		}

		p = s.poll("presence=none")
		p.post(fmt.Sprintf(`42["register",{"id":"ghost-candidate-%d"}]`, i))
		candidate := s.sendUnread("GET " + strings.Replace(p.path, "polling", "websocket", 1) + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n" +
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		if n, err := candidate.Read(make([]byte, 512)); err != nil || n == 0 { // it is open; nothing else is read
			t.Fatal(err)
		}
		probes, enough := frames("2probe", 500), time.Now().Add(10*time.Second)
		for err := error(nil); err == nil && time.Now().Before(enough); { // as many as are taken
			candidate.SetWriteDeadline(time.Now().Add(time.Second))
			_, err = candidate.Write(probes)
		}

		for _, path := range []string{"/socket.io/socket.io.js", "/", "/metrics", "/api/openapi.json", "/api/online_users"} {
			s.sendUnread(strings.Repeat(get(path), 200))
		}
	}
	program.Eventually(t, patience, "those over WebSocket are in the room", func() bool {
		list := s.online()
		return strings.Contains(list, "ghost-ws-0") && strings.Contains(list, "ghost-ws-1")
	})
	much := fmt.Sprintf(`{"event":"much","args":["%s"],"to":{"room":"unread"}}`, strings.Repeat("x", 60_000))
	for range 100 { // more than the system takes
		s.Ask("POST", "/api/emit", much, withKey)
	}
}

// Clients that do not read are disconnected: they are not listed for long, their
// places are free again, and a shutdown does not wait for them.
func TestAnswersThatAreNotRead(t *testing.T) {
	vars := []string{"WRITE_TIMEOUT=1s", "PING_INTERVAL=2s", "PING_TIMEOUT=2s", "EVENTS_PER_SECOND=0", "MAX_QUEUE=32MiB", "GRACE=0s", "SHUTDOWN_TIMEOUT=5s", "API_KEY=" + apiKey}
	s := serve(t, vars...)
	s.attack(t, limits{duration: time.Second, maxGrowth: 250}, func(int) { unread(t, s) })
	program.Eventually(t, patience, "no client that does not read is listed", func() bool { return !strings.Contains(s.online(), "ghost") })
	program.Eventually(t, patience, "their sessions have ended", func() bool { return s.metric("rollcall_connections") <= observers })
	program.Eventually(t, patience, "their connections are closed", func() bool { return s.metric("process_open_fds") < observers+40 })
	if s.metric("rollcall_slow_disconnects_total") == 0 {
		t.Error("no client was disconnected as too slow")
	}
	stops(t, s)
	t.Run("a shutdown meanwhile", func(t *testing.T) {
		s := serve(t, append(vars, "WRITE_TIMEOUT=10m")...)
		unread(t, s)
		stops(t, s)
	})
}

// stops checks that a shutdown keeps its time, of 5 s; the machine may be busy.
func stops(t *testing.T, s *server) {
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	select {
	case <-s.Gone:
		t.Logf("it takes %s", time.Since(began).Round(time.Millisecond))
	case <-time.After(15 * time.Second):
		t.Error("it waits for clients that do not read")
	}
}

// dribble sends the beginning of a request, what follows a little later, and then
// a byte at a time. It returns how long it took the server to close the connection.
func dribble(conn net.Conn, beginning, then, drop string, patience time.Duration) (time.Duration, error) {
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
			if _, err := io.WriteString(conn, then+drop); errors.Is(err, os.ErrDeadlineExceeded) {
				return 0, err
			}
			then = ""
		}
	}
}

// Requests that never end, however slowly they go on, are ended by the server.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, "PING_INTERVAL=2s", "PING_TIMEOUT=2s", "API_KEY="+apiKey)
	p := s.poll("presence=none")
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
		{"a body of the API", post("/api/emit", withKey+"\r\n"), "", " ", 50, 10 * time.Second},
		{"a WebSocket frame", upgrade, "\x81\xfe\xf0\x00\x00\x00\x00\x00", "4", 50, 4 * time.Second},
		{"a WebSocket that is silent", upgrade, "", "", 50, 4 * time.Second},
	} {
		var mu sync.Mutex // guards longest
		var longest time.Duration
		var these sync.WaitGroup
		for range c.many {
			conn := s.dialTCP()
			these.Go(func() {
				took, err := dribble(conn, c.beginning, c.then, c.drop, c.within+10*time.Second)
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
	s.attack(t, limits{duration: 2 * time.Second, maxGrowth: 30}, func(int) { s.Get("/healthz") })
	all.Wait()
	program.Eventually(t, patience, "their sessions have ended", func() bool { return s.metric("rollcall_connections") == observers })
}

// news is a request of 60 KiB for POST /api/emit.
var news = `{"event":"news","args":["` + strings.Repeat("x", 60<<10) + `"]}`

func TestQueueTooLong(t *testing.T) {
	t.Parallel()
	s := serve(t, "API_KEY="+apiKey)
	s.connectUnread(t)
	good, sent := s.client(t, "presence=none"), 0
	for ; s.metric("rollcall_slow_disconnects_total") == 0; sent++ {
		if sent == 1000 {
			t.Fatal("60 MB wait for a client that reads nothing, and it is still connected")
		}
		s.emit(news)
	}
	program.Eventually(t, patience, "a client that reads gets everything", func() bool { return good.received("news") == sent })
	if !strings.Contains(s.Log.String(), "cut off") {
		t.Error("the log does not say it")
	}
	if n := s.metric("rollcall_slow_disconnects_total"); n != 1 {
		t.Errorf("%v clients were disconnected as too slow", n)
	}
}

// A client that reads nothing, and requests that never end, do not delay the
// shutdown.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := serve(t, "API_KEY="+apiKey)
	good := s.client(t, "")
	s.connectUnread(t)
	for range 100 {
		s.emit(news)
	}
	half := s.dialTCP()
	fmt.Fprintf(half, "GET / HTTP/1.1\r\nHost: x\r\n")
	p := s.poll("")
	body := s.dialTCP()
	fmt.Fprintf(body, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4", p.path)

	s.Signal(syscall.SIGTERM)
	program.Eventually(t, patience, "new clients are refused", func() bool { return !s.opens() })
	program.Eventually(t, 11*time.Second, "the server ends", s.Ended)
	var closed *websocket.CloseError
	if err := good.waitEnd(t); !errors.As(err, &closed) || closed.Code == websocket.CloseAbnormalClosure {
		t.Errorf("a client was not told: %v", err)
	}
	if !strings.Contains(s.Log.String(), "bye") {
		t.Errorf("it did not end in order:\n%s", s.Log.Last(1000))
	}
}
