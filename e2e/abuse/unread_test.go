package abuse

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	socketio "rollcall/e2e/client"
	"rollcall/e2e/program"
)

// openUnread opens a connection that takes next to nothing, and sends what is given.
func (s *server) openUnread(t testing.TB, request string) net.Conn {
	t.Helper()
	conn := s.dialTCP()
	conn.(*net.TCPConn).SetReadBuffer(4096)
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n" }

// unread are clients that ask, and read nothing of the answers: over WebSocket,
// over polling, of a candidate for an upgrade and of plain HTTP. All who have a
// session are registered, with ids that begin with ghost.
func unread(t testing.TB, s *server) {
	for i := range 2 {
		p := s.poll(t, "presence=none")
		p.post(`42["join",{"room":"unread"}]`)
		p.post(fmt.Sprintf(`42["register",{"id":"ghost-%d"}]`, i))
		s.openUnread(t, get(p.path))

		dialer := websocket.Dialer{NetDial: func(network, address string) (net.Conn, error) {
			conn, err := net.Dial(network, address)
			if err == nil {
				conn.(*net.TCPConn).SetReadBuffer(4096)
			}
			return conn, err
		}}
		conn, _, err := dialer.Dial(socketio.URL(s.port, "presence=none"), http.Header{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.WriteMessage(websocket.TextMessage, []byte("40"))
		conn.WriteMessage(websocket.TextMessage, []byte(`42["join",{"room":"unread"}]`))
		conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `42["register",{"id":"ghost-ws-%d"}]`, i))

		p = s.poll(t, "presence=none")
		p.post(fmt.Sprintf(`42["register",{"id":"ghost-candidate-%d"}]`, i))
		candidate := s.openUnread(t, "GET "+strings.Replace(p.path, "polling", "websocket", 1)+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"+
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
			s.openUnread(t, strings.Repeat(get(path), 200))
		}
	}
	program.Eventually(t, patience, "those over WebSocket are in the room", func() bool {
		list := s.ask("GET", "/api/online_users", "").body
		return strings.Contains(list, "ghost-ws-0") && strings.Contains(list, "ghost-ws-1")
	})
	much := fmt.Sprintf(`{"event":"much","args":["%s"],"to":{"room":"unread"}}`, strings.Repeat("x", 60_000))
	for range 100 { // more than the system takes
		s.ask("POST", "/api/emit", much, "Authorization: Bearer "+apiKey)
	}
}

// Clients that do not read are let go of: they are not listed for long, their
// places are free again, and a shutdown does not wait for them.
func TestAnswersThatAreNotRead(t *testing.T) {
	vars := []string{"WRITE_TIMEOUT=1s", "PING_INTERVAL=2s", "PING_TIMEOUT=2s", "EVENTS_PER_SECOND=0", "MAX_QUEUE=32MiB", "GRACE=0s", "SHUTDOWN_TIMEOUT=5s", "API_KEY=" + apiKey}
	s := serve(t, vars...)
	s.attack(t, limits{duration: time.Second, maxGrowth: 250}, func(int) { unread(t, s) })
	t.Run("they are not listed", func(t *testing.T) {
		program.Eventually(t, patience, "nobody who does not read is listed", func() bool {
			return !strings.Contains(s.ask("GET", "/api/online_users", "").body, "ghost")
		})
	})
	t.Run("their places are free", func(t *testing.T) {
		program.Eventually(t, patience, "their sessions have ended", func() bool { return s.metric("rollcall_connections") <= observers })
	})
	t.Run("their connections are closed", func(t *testing.T) {
		program.Eventually(t, patience, "files are closed", func() bool { return s.metric("process_open_fds") < observers+40 })
	})
	if cut := s.metric("rollcall_slow_disconnects_total"); cut == 0 {
		t.Error("nobody was cut off")
	}
	t.Run("a shutdown after that", func(t *testing.T) { stops(t, s) })
	t.Run("a shutdown meanwhile", func(t *testing.T) {
		s := serve(t, append(vars, "WRITE_TIMEOUT=10m")...)
		unread(t, s)
		stops(t, s)
	})
}

// stops checks that a shutdown keeps its time, of 5 s.
func stops(t *testing.T, s *server) {
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	select {
	case <-s.Gone:
		t.Logf("it takes %s", time.Since(began).Round(time.Millisecond))
	case <-time.After(6 * time.Second):
		t.Error("it waits for clients that do not read")
	}
}
