package abuse

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/e2e/program"
)

// deaf opens a connection that takes next to nothing, and sends what is given.
func (s *server) deaf(t testing.TB, request string) net.Conn {
	t.Helper()
	conn := s.dialTCP()
	conn.(*net.TCPConn).SetReadBuffer(4096)
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n" }

// swell makes an answer of 5 MB wait for a session over polling: a refusal repeats
// the event's name, each < of it as six bytes.
func (p *poll) swell(t testing.TB) {
	t.Helper()
	name := strings.Repeat("<", 60_000)
	for range 15 {
		if got := p.post(`42["` + name + `"]`); got.status != 200 {
			t.Fatalf("%d %.100s", got.status, got.body)
		}
	}
}

// unread are clients that ask, and read nothing of the answers: over WebSocket,
// over polling, of a candidate for an upgrade and of plain HTTP. All who have a
// session are registered as ghosts.
func unread(t testing.TB, s *server) {
	for i := range 2 {
		p := s.poll(t, "presence=none")
		p.post(fmt.Sprintf(`42["register",{"id":"ghost-%d"}]`, i))
		p.swell(t)
		s.deaf(t, get(p.path))

		dialer := websocket.Dialer{NetDial: func(network, address string) (net.Conn, error) {
			conn, err := net.Dial(network, address)
			if err == nil {
				conn.(*net.TCPConn).SetReadBuffer(4096)
			}
			return conn, err
		}}
		conn, _, err := dialer.Dial(s.wsURL("presence=none"), http.Header{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.WriteMessage(websocket.TextMessage, []byte("40"))
		conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `42["register",{"id":"ghost-ws-%d"}]`, i))
		for range 15 {
			conn.WriteMessage(websocket.TextMessage, []byte(`42["`+strings.Repeat("<", 60_000)+`"]`))
		}

		p = s.poll(t, "presence=none")
		p.post(fmt.Sprintf(`42["register",{"id":"ghost-candidate-%d"}]`, i))
		candidate := s.deaf(t, "GET "+strings.Replace(p.path, "polling", "websocket", 1)+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"+
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		candidate.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		candidate.Write(bytes.Repeat(frames("2probe", 500), 100)) // as many as are taken

		for _, path := range []string{"/socket.io/socket.io.js", "/", "/metrics", "/api/openapi.json", "/api/online_users"} {
			s.deaf(t, strings.Repeat(get(path), 200))
		}
	}
}

// Clients that do not read are let go of: they are not listed for long, their
// places are free again, and a shutdown does not wait for them.
func TestAnswersThatAreNotRead(t *testing.T) {
	limits := []string{"WRITE_TIMEOUT=1s", "PING_INTERVAL=2s", "PING_TIMEOUT=2s", "EVENTS_PER_SECOND=0", "MAX_QUEUE=32MiB", "GRACE=0s"}
	s := serve(t, limits...)
	s.endures(t, toll{lasts: time.Second, grows: 250}, func(int) { unread(t, s) })
	program.Eventually(t, patience, "nobody who does not read is listed", func() bool {
		return !strings.Contains(s.ask("GET", "/api/online_users", "").body, "ghost")
	})
	program.Eventually(t, patience, "their sessions have ended", func() bool { return s.metric("rollcall_connections") <= manyWitness })
	program.Eventually(t, patience, "their connections are closed", func() bool { return s.metric("process_open_fds") < manyWitness+40 })
	if cut := s.metric("rollcall_slow_disconnects_total"); cut == 0 {
		t.Error("nobody was cut off")
	}

	again := serve(t, append(limits, "WRITE_TIMEOUT=10m", "SHUTDOWN_TIMEOUT=5s")...)
	unread(t, again)
	began := time.Now()
	again.Signal(syscall.SIGTERM)
	select {
	case <-again.Gone:
		t.Logf("a shutdown meanwhile takes %s", time.Since(began).Round(time.Millisecond))
	case <-time.After(6 * time.Second):
		t.Error("a shutdown waits for clients that do not read")
	}
}
