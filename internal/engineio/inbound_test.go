package engineio

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/internal/memory"
)

// stallBody sends the beginning of a POST, a number of bytes of its body, and then
// nothing.
func stallBody(t *testing.T, p *poller, announced, sent int) {
	t.Helper()
	path := strings.TrimPrefix(p.URL(""), p.Base)
	fmt.Fprintf(rawConn(t, p.Base), "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		path, announced, strings.Repeat("4", sent))
}

// Bodies that do not go on hold what they have sent, not what they have
// announced, and not for long; at the bound another one waits and is refused.
func TestBodiesTogether(t *testing.T) {
	inbound := memory.NewBudget(500_000)
	_, base := start(t, Options{Inbound: inbound, MaxBody: 400_000})
	p, stalls := mustPoll(t, base, 4, ""), mustPoll(t, base, 4, "") // before the 5 s in which a body has to go on
	stallBody(t, mustPoll(t, base, 4, ""), 400_000, 0)
	eventually(t, "a body has begun", func() bool { return inbound.Used() > 0 })
	if used := inbound.Used(); used > 5000 {
		t.Errorf("%d bytes are held for a body that has only been announced", used)
	}
	stallBody(t, stalls, 300_000, 299_999)
	eventually(t, "most of a body is there", func() bool { return inbound.Used() > 300_000 })
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
	mustAsk(t, c, `["marks"]`) // a short message
	eventually(t, "a message that does not go on is given up", func() bool { return inbound.Used() == 0 })
	mustAsk(t, c, `["marks","`+strings.Repeat("x", 60_000)+`"]`)
	eventually(t, "it is given back", func() bool { return inbound.Used() == 0 })
}

// A client that sends far too much over WebSocket can send all of it, and more,
// and is then told why the connection ends.
func TestFarTooLargeOverWebSocket(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		d, base := start(t, Options{CloseTimeout: patience})
		c := mustJoin(t, base, protocol, "")
		l := d.connOf(c.SID)
		for _, size := range []int{5_000_000, 70_000, 10} {
			if err := c.Send(`42["mark","` + strings.Repeat("x", size) + `"]`); err != nil {
				t.Errorf("protocol %d, %d bytes: %v", protocol, size, err)
			}
		}
		expect(t, c, `42["rollcall_error",{"error":"message_too_large"…`)
		if _, err := c.Next(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
			t.Errorf("protocol %d: it reads %v", protocol, err)
		}
		c.Conn.Close()
		<-l.over
	}
}

// What is read of a client that does not stop sending is bounded.
func TestDrainIsBounded(t *testing.T) {
	d, base := start(t, Options{CloseTimeout: patience})
	c := mustJoin(t, base, 4, "")
	l := d.connOf(c.SID)
	much := make([]byte, drainBytes/4)
	for err := error(nil); err == nil; {
		err = c.Conn.WriteMessage(websocket.TextMessage, much)
	}
	<-l.over
	d, base = start(t, Options{}) // or by time
	c = mustJoin(t, base, 4, "")
	l = d.connOf(c.SID)
	c.Conn.WriteMessage(websocket.TextMessage, make([]byte, 100_000))
	<-l.over
}

// A client that sends too much over polling, also in a chunked body, is told so: since it
// may not see the status of its POST, by an event before that is answered, if it polls
// then or a moment later.
func TestTooLargeIsTold(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for size, want := range map[int]string{2000: "message_too_large", 20_000: "body_too_large"} {
			for _, more := range []string{"", "j=0"} {
				for _, polls := range []bool{false, true} {
					t.Run(fmt.Sprintf("protocol %d%s, %s, polls %t", protocol, more, want, polls), func(t *testing.T) {
						t.Parallel()
						d, base := start(t, Options{MaxMessage: 1000, MaxBody: 10_000, CloseTimeout: patience})
						tooLargeIsTold(t, d, mustPoll(t, base, protocol, more), size, polls, want)
					})
				}
			}
		}
	}
}

func tooLargeIsTold(t *testing.T, d *fixture, p *poller, size int, polls bool, want string) {
	l, told := d.connOf(p.SID), make(chan string, 2)
	read := func() {
		for range cap(told) {
			packet, _ := p.Next()
			told <- packet
		}
	}
	if polls {
		go read()
		await(t, "it polls", l, func() bool { return l.carrier.poll != nil })
	} else { // not before the session has ended
		go func() {
			eventually(t, "the domain hears of the end, and the body is released", func() bool {
				return len(d.conns()) == 0 && d.srv.opts.Inbound.Used() == 0
			})
			read()
		}()
	}
	body := p.Payload(`42["mark","`+strings.Repeat("x", size)+`"]`, `42["mark",2]`)
	post := poller{Base: p.Base, Protocol: p.Protocol, SID: p.SID, JSONP: p.JSONP}
	status, answer, err := post.Request(http.MethodPost, "", io.MultiReader(strings.NewReader(body)), "text/plain")
	limit := map[string]string{"message_too_large": "MAX_MESSAGE", "body_too_large": "MAX_BODY"}[want]
	if err != nil || status != http.StatusRequestEntityTooLarge || !strings.Contains(answer, limit) {
		t.Errorf("the POST is answered %d %q, %v", status, answer, err)
	}
	if len(d.conns()) != 0 || d.connOf(p.SID) != nil {
		t.Error("the session goes on")
	}
	if len(told) == 0 {
		t.Error("the POST was answered first")
	}
	if got := <-told; !strings.HasPrefix(got, `42["rollcall_error",{`) || !strings.Contains(got, `"error":"`+want+`"`) {
		t.Errorf("it is told %q", got)
	}
	if got := <-told; got != "1" {
		t.Errorf("and then %q", got)
	}
}

// A session that tells nothing leaves it to the answer, which the end does not overtake.
func TestTooLargeIsNotTold(t *testing.T) {
	server := httptest.NewServer(echoServer(t, Options{MaxBody: 100, CloseTimeout: patience}, nil))
	t.Cleanup(server.Close)
	p, polled := mustPoll(t, server.URL, 4, ""), make(chan string, 1)
	post := *p
	go func() { packet, _ := p.Next(); polled <- packet }()
	status, answer, err := post.Request(http.MethodPost, "", strings.NewReader(strings.Repeat("4", 101)), "")
	if err != nil || status != http.StatusRequestEntityTooLarge || answer != "" || len(polled) > 0 {
		t.Errorf("the POST is answered %d %q, %v, after %d polls", status, answer, err, len(polled))
	}
	post.Send("1")
	<-polled
}
