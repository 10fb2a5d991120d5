package wire

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
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	path := strings.TrimPrefix(p.url(""), p.base)
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
	status, answer, err := p.request(http.MethodPost, "", strings.NewReader(sent+strings.Repeat(" ", 200_000)), "text/plain")
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(answer, "Too much") || time.Since(began) < time.Second {
		t.Errorf("over the bound: %d %q %v after %s", status, answer, err, time.Since(began))
	}
	if !p.alive() {
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
		w, _ := c.conn.NextWriter(websocket.TextMessage)
		io.WriteString(w, `42["mark","`+strings.Repeat("x", 60_000))
		return c
	}
	begin()
	eventually(t, "a message is held", func() bool { return inbound.Used() > 50_000 })
	late := begin()
	late.conn.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := late.conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseTryAgainLater) {
		t.Errorf("over the bound: %v", err)
	}
	c := mustJoin(t, base, 4, "")
	if _, err := c.ask(1, `["marks"]`); err != nil {
		t.Errorf("a short message: %v", err)
	}
	eventually(t, "a message that does not go on is given up", func() bool { return inbound.Used() == 0 })
	if _, err := c.ask(2, `["marks","`+strings.Repeat("x", 60_000)+`"]`); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	eventually(t, "it is given back", func() bool { return inbound.Used() == 0 })
}

// What waits for its attachments is not held: it will be refused.
func TestBinaryEventsAreNotHeld(t *testing.T) {
	_, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	c.send(`451-7["mark",{"_placeholder":true,"num":0},"` + strings.Repeat("x", 60_000) + `"]`)
	c.conn.WriteMessage(websocket.BinaryMessage, []byte{1})
	got, err := c.next()
	if err != nil || !strings.HasPrefix(got, "437") || !strings.Contains(got, "binary_not_supported") {
		t.Errorf("%q, %v", got, err)
	}
	p := packet{kind: typeBinaryEvent, attachments: 1, data: []byte(`["mark","` + strings.Repeat("x", 60_000) + `"]`)}
	s := &session{}
	s.await(p)
	if string(s.partial.data) != `["mark"]` || s.partial.size != len(p.data) {
		t.Errorf("%.50q of %d bytes is kept", s.partial.data, s.partial.size)
	}
}

// One probe a candidate: the second ends it, and the session goes on over polling.
func TestOneProbe(t *testing.T) {
	for _, second := range []string{"2probe", "2", "3", "6", "", "42[]", strings.Repeat("5", 100)} {
		_, base := start(t, Options{})
		p, err := pollJoin(base, 4, "")
		if err != nil {
			t.Fatal(err)
		}
		conn, _, err := dialer.Dial(endpoint(base, "websocket", 4, "&sid="+p.sid), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{conn: conn}
		c.send("2probe")
		if got, err := c.next(); err != nil || got != "3probe" {
			t.Fatalf("%q, %v", got, err)
		}
		c.send(second)
		if got, err := c.next(); err == nil {
			t.Errorf("%.10q is answered %q", second, got)
		}
		if !p.alive() {
			t.Errorf("%.10q has ended the session", second)
		}
	}
}
