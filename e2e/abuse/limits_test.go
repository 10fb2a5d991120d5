package abuse

import (
	"errors"
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

// The rows of the table of limits, in its order: what the client gets, and
// which metric counts it. The defaults count, unless a test says otherwise.

func TestMessageTooLarge(t *testing.T) {
	t.Parallel()
	s := serve(t)
	packet := func(size int) string {
		const frame = `42["unknown",""]`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	c := s.client(t, "")
	c.Send(packet(64 << 10))
	program.Eventually(t, patience, "64 KiB are taken", func() bool { return c.received("rollcall_error") == 1 })
	c.Send(packet(64<<10 + 1))
	if err := c.waitEnd(t); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
		t.Errorf("one byte more: %v, want a close frame that says so", err)
	}

	// Polling: the request says why the session ends.
	p := s.poll(t, "")
	if got := p.post(packet(64<<10 + 1)); got.status != http.StatusRequestEntityTooLarge || !strings.Contains(got.body, "MAX_MESSAGE") {
		t.Errorf("POST of a packet too large: %d", got.status)
	}
	if got := p.post(`42["sync"]`); got.status != http.StatusBadRequest || !strings.Contains(got.body, "Session ID unknown") {
		t.Errorf("after it: %d %s", got.status, got.body)
	}
	if c.received("rollcall_error") != 2 {
		t.Error("over WebSocket no event says why")
	}
	// A body too large is not looked at.
	p = s.poll(t, "")
	if got := p.post(strings.Repeat("x", 1_000_001)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("POST of more than MAX_BODY: %d", got.status)
	}
	s.countsRefusal("body_too_large", 1)
}

func TestUserTooLarge(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.client(t, "")
	user := func(size int) string {
		return `{"id":"big","pad":"` + strings.Repeat("x", size-len(`{"id":"big","pad":""}`)) + `"}`
	}
	c.expect(t, "user_too_large", "register", user(4097))
	c.expect(t, "", "register", user(4096))
	c.expect(t, "user_too_large", "register", user(4097))
	if got := s.ask("GET", "/api/online_users", "").body; strings.TrimSpace(got) != "["+user(4096)+"]" {
		t.Errorf("listed is %.100s", got)
	}
	s.countsRefusal("user_too_large", 2)
}

func TestTooManyEvents(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.client(t, "presence=none")
	if _, err := c.Conn.NetConn().Write(frames(`42["heartbeat"]`, 200)); err != nil {
		t.Fatal(err)
	}
	c.waitEnd(t)
	// 40 at once, then 41 refusals, each of which costs it the time after which the
	// next is taken.
	if n := c.received("rollcall_error"); n < 40 || n > 41 {
		t.Errorf("it heard of %d refusals before the end, want 40 or 41", n)
	}
	if n := s.metric(`rollcall_events_in_total{event="heartbeat"}`); n < 115 {
		t.Errorf("%v events were counted", n)
	}
	s.countsRefusal("rate_limited", 41)
	s.counts(`rollcall_sessions{protocol="4",transport="websocket"}`, 0)
}

func TestRoomLimits(t *testing.T) {
	t.Parallel()
	s := serve(t, "EVENTS_PER_SECOND=0")
	c := s.client(t, "presence=none")
	for n := range 50 {
		c.expect(t, "", "join", fmt.Sprintf(`{"room":"r%d","username":"ann"}`, n))
	}
	c.expect(t, "too_many_rooms", "join", `{"room":"r50","username":"ann"}`)
	c.expect(t, "", "join", `{"room":"r49","username":"`+strings.Repeat("ü", 64)+`"}`) // is in it
	c.expect(t, "", "leave", `{"room":"r0"}`)
	c.expect(t, "", "join", `{"room":"`+strings.Repeat("r", 128)+`"}`)
	c.expect(t, "bad_room", "join", `{"room":"`+strings.Repeat("r", 129)+`"}`)
	c.expect(t, "bad_username", "join", `{"room":"r1","username":"`+strings.Repeat("ü", 65)+`"}`)
	c.expect(t, "", "message", `{"room":"r1","content":"`+strings.Repeat("ü", 4000)+`"}`)
	c.expect(t, "bad_message", "message", `{"room":"r1","content":"`+strings.Repeat("ü", 4001)+`"}`)
	c.expect(t, "not_in_room", "message", `{"room":"r0","content":"x"}`)
	for _, code := range []string{"too_many_rooms", "bad_room", "bad_username", "bad_message", "not_in_room"} {
		s.countsRefusal(code, 1)
	}
	if got := s.ask("GET", "/api/rooms/"+strings.Repeat("r", 129)+"/users", ""); got.status != http.StatusBadRequest {
		t.Errorf("the API on a room with too long a name: %d %s", got.status, got.body)
	}
}

func TestQueueTooLong(t *testing.T) {
	t.Parallel()
	s := serve(t, "API_KEY="+apiKey)
	slow, err := s.connect("presence=none", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.NetConn().(*net.TCPConn).SetReadBuffer(4096) // and never reads again
	good := s.client(t, "presence=none")
	body := `{"event":"news","args":["` + strings.Repeat("x", 60<<10) + `"]}`
	sent := 0
	for ; s.metric("rollcall_slow_disconnects_total") == 0; sent++ {
		if sent == 1000 {
			t.Fatal("60 MB wait for a client that reads nothing, and it is still connected")
		}
		if got := s.ask("POST", "/api/emit", body, "Authorization: Bearer "+apiKey); got.status >= 300 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	program.Eventually(t, patience, "who reads gets everything", func() bool { return good.received("news") == sent })
	if !strings.Contains(s.Log.String(), "cut off") {
		t.Error("the log does not say it")
	}
	if n := s.metric("rollcall_slow_disconnects_total"); n != 1 {
		t.Errorf("%v clients were disconnected as too slow", n)
	}
}

func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := serve(t, "MAX_CONNECTIONS_PER_ADDRESS=2")
	first := s.client(t, "")
	s.poll(t, "")
	for range 3 {
		if _, err := s.open("", nil); err == nil || !strings.Contains(err.Error(), "429") {
			t.Errorf("a third WebSocket: %v", err)
		}
		if got := s.ask("GET", "/socket.io/?EIO=4&transport=polling", ""); got.status != http.StatusTooManyRequests {
			t.Errorf("a third session over polling: %d %s", got.status, got.body)
		}
	}
	s.countsRefusal("too_many_connections", 6)
	if n := s.metric("rollcall_connections"); n != 2 {
		t.Errorf("%v connections are counted", n)
	}
	first.Conn.Close()
	program.Eventually(t, patience, "a place becomes free", func() bool {
		conn, err := s.open("", nil)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// A client that reads nothing, one that floods, one that dribbles a request:
// none holds the shutdown up.
func TestShutdown(t *testing.T) {
	t.Parallel()
	s := serve(t, "API_KEY="+apiKey)
	good := s.client(t, "")
	unread, err := s.connect("", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	unread.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	for range 100 {
		s.ask("POST", "/api/emit", `{"event":"news","args":["`+strings.Repeat("x", 60<<10)+`"]}`, "Authorization: Bearer "+apiKey)
	}
	half := s.dialTCP()
	fmt.Fprintf(half, "GET / HTTP/1.1\r\nHost: x\r\n")
	p := s.poll(t, "")
	body := s.dialTCP()
	fmt.Fprintf(body, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4", p.path)

	began := time.Now()
	s.Signal(syscall.SIGTERM)
	program.Eventually(t, patience, "new clients are turned away", func() bool {
		conn, err := s.open("", nil)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	program.Eventually(t, 11*time.Second, "the server ends", s.Ended)
	t.Logf("ended after %s", time.Since(began).Round(time.Millisecond))
	var closed *websocket.CloseError
	if err := good.waitEnd(t); !errors.As(err, &closed) || closed.Code == websocket.CloseAbnormalClosure {
		t.Errorf("a client was not told: %v", err)
	}
	if !strings.Contains(s.Log.String(), "bye") {
		t.Errorf("it did not end in order:\n%s", s.Log.Last(1000))
	}
}
