package abuse

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/e2e/program"
)

// Rows of the table of limits: what the client gets, and which metric counts it. The
// limits are the defaults unless a test sets others.

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

	if c.received("rollcall_error") != 2 {
		t.Error("no event says why")
	}
	// Polling: the request says why the session ends. A body too large is not looked at.
	for body, says := range map[string]string{packet(64<<10 + 1): "MAX_MESSAGE", strings.Repeat("x", 1_000_001): "MAX_BODY"} {
		p := s.poll("")
		if got := p.post(body); got.Status != http.StatusRequestEntityTooLarge || !strings.Contains(got.Body, says) {
			t.Errorf("POST of %d bytes: %d %s", len(body), got.Status, got.Body)
		}
		if got := p.post(`42["sync"]`); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "Session ID unknown") {
			t.Errorf("after it: %d %s", got.Status, got.Body)
		}
	}
	s.countsRefusal("body_too_large", 1)
}

func TestTooManyEvents(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.client(t, "presence=none")
	if _, err := c.Conn.NetConn().Write(frames(`42["heartbeat"]`, 2000)); err != nil {
		t.Fatal(err)
	}
	c.waitEnd(t)
	// 40 are accepted at once; each of the 41 refusals delays the next event.
	if n := c.received("rollcall_error"); n < 40 || n > 41 {
		t.Errorf("it was told %d refusals before the end, want 40 or 41", n)
	}
	if n := s.metric(`rollcall_events_in_total{event="heartbeat"}`); n < 115 {
		t.Errorf("%v events were counted", n)
	}
	s.countsRefusal("rate_limited", 41)
	s.counts(`rollcall_sessions{protocol="4",transport="websocket"}`, 0)
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

func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := serve(t, "MAX_CONNECTIONS_PER_ADDRESS=2")
	first := s.client(t, "")
	s.poll("")
	for range 3 {
		if _, err := s.open("", nil); err == nil || !strings.Contains(err.Error(), "429") {
			t.Errorf("a third WebSocket: %v", err)
		}
		if got := s.Get(pollingPath); got.Status != http.StatusTooManyRequests {
			t.Errorf("a third session over polling: %d %s", got.Status, got.Body)
		}
	}
	s.countsRefusal("too_many_connections", 6)
	if n := s.metric("rollcall_connections"); n != 2 {
		t.Errorf("%v connections are counted", n)
	}
	first.Conn.Close()
	program.Eventually(t, patience, "a place becomes free", s.opens)
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
