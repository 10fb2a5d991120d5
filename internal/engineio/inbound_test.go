package engineio

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/internal/memory"
)

// stallBody sends the beginning of a POST, a number of bytes of its body, and then
// nothing.
func stallBody(t *testing.T, p *poller, announced, sent int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.Base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	path := strings.TrimPrefix(p.URL(""), p.Base)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		path, announced, strings.Repeat("4", sent))
	return conn
}

// Bodies that do not go on hold what they have sent, not what they have
// announced, and not for long; at the bound another one waits and is refused.
func TestBodiesTogether(t *testing.T) {
	inbound := memory.NewBudget(500_000)
	_, base := start(t, Options{Inbound: inbound, MaxBody: 400_000})
	join := func() *poller {
		t.Helper()
		p, err := pollJoin(base, 4, "")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	stallBody(t, join(), 400_000, 0)
	eventually(t, "a body has begun", func() bool { return inbound.Used() > 0 })
	if used := inbound.Used(); used > 5000 {
		t.Errorf("%d bytes are held for a body that has only been announced", used)
	}
	stallBody(t, join(), 300_000, 299_999)
	eventually(t, "most of a body is there", func() bool { return inbound.Used() > 300_000 })
	p := join()
	sent := strings.Repeat("3\x1e", 50_000) + "3"
	began := time.Now()
	status, answer, err := p.Request(http.MethodPost, "", strings.NewReader(sent+strings.Repeat(" ", 200_000)), "text/plain")
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(answer, "Too much") || time.Since(began) < time.Second {
		t.Errorf("over the bound: %d %q %v after %s", status, answer, err, time.Since(began))
	}
	if !p.Alive() {
		t.Error("the refusal has ended the session, or a small body is refused too")
	}
	eventually(t, "bodies that do not go on are given up", func() bool { return inbound.Used() == 0 })
}

// A WebSocket message counts as it comes, whole or in fragments.
func TestMessagesTogether(t *testing.T) {
	inbound := memory.NewBudget(100_000)
	_, base := start(t, Options{Inbound: inbound})
	begin := func() *client {
		c := mustJoin(t, base, 4, "")
		w, _ := c.Conn.NextWriter(websocket.TextMessage)
		io.WriteString(w, `42["mark","`+strings.Repeat("x", 60_000))
		return c
	}
	begin()
	eventually(t, "a message is held", func() bool { return inbound.Used() > 50_000 })
	late := begin()
	late.Conn.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := late.Conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseTryAgainLater) {
		t.Errorf("over the bound: %v", err)
	}
	c := mustJoin(t, base, 4, "")
	if _, err := c.Ask(1, `["marks"]`); err != nil {
		t.Errorf("a short message: %v", err)
	}
	eventually(t, "a message that does not go on is given up", func() bool { return inbound.Used() == 0 })
	if _, err := c.Ask(2, `["marks","`+strings.Repeat("x", 60_000)+`"]`); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	eventually(t, "it is given back", func() bool { return inbound.Used() == 0 })
}

// One probe a candidate: the second ends it, and the session goes on over polling.
func TestOneProbe(t *testing.T) {
	for _, second := range []string{"2probe", "2", "3", "6", "", "42[]", strings.Repeat("5", 100)} {
		_, base := start(t, Options{})
		p, err := pollJoin(base, 4, "")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := p.Candidate()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{Conn: conn}
		c.Send("2probe")
		if got, err := c.Next(); err != nil || got != "3probe" {
			t.Fatalf("%q, %v", got, err)
		}
		c.Send(second)
		if got, err := c.Next(); err == nil {
			t.Errorf("%.10q is answered %q", second, got)
		}
		if !p.Alive() {
			t.Errorf("%.10q has ended the session", second)
		}
	}
}
