package engineio

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// A client that sends too much over polling is told so, also in a chunked body.
func TestTooLargeOverPolling(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{MaxMessage: 1000, MaxBody: 10_000})
		for size, want := range map[int]string{2000: "MAX_MESSAGE", 20_000: "MAX_BODY"} {
			p, err := pollJoin(base, protocol, "")
			if err != nil {
				t.Fatal(err)
			}
			text := p.Join(`42["mark","` + strings.Repeat("x", size) + `"]`)
			status, answer, err := p.Request(http.MethodPost, "", io.MultiReader(strings.NewReader(text)), "text/plain")
			if err != nil || status != http.StatusRequestEntityTooLarge || !strings.Contains(answer, want) {
				t.Errorf("protocol %d, %d bytes: %d %q, %v", protocol, size, status, answer, err)
			}
		}
	}
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
		if got, err := c.Next(); !strings.HasPrefix(got, `42["rollcall_error",{`) || !strings.Contains(got, `"message_too_large"`) {
			t.Errorf("protocol %d: it is told %q, %v", protocol, got, err)
		}
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

// A client over polling, which may not see the status of its POST, is told by an
// event before that is answered, if it polls then or a moment later.
func TestTooLargeIsTold(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for size, want := range map[int]string{2000: "message_too_large", 20_000: "body_too_large"} {
			for _, jsonp := range []bool{false, true} {
				for _, polls := range []bool{false, true} {
					t.Run(fmt.Sprintf("protocol %d, %s, JSONP %t, polls %t", protocol, want, jsonp, polls), func(t *testing.T) {
						t.Parallel()
						d, base := start(t, Options{MaxMessage: 1000, MaxBody: 10_000, CloseTimeout: patience})
						join := func() (*poller, error) { return pollJoin(base, protocol, "") }
						if jsonp {
							join = func() (*poller, error) { return jsonpJoin(base, protocol) }
						}
						p, err := join()
						if err != nil {
							t.Fatal(err)
						}
						tooLargeIsTold(t, d, p, size, polls, want)
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
		eventually(t, "it polls", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.carrier.poll != nil })
	} else { // not before the session has ended
		go func() {
			eventually(t, "the domain hears of the end", func() bool { return len(d.conns()) == 0 })
			read()
		}()
	}
	body := p.Join(`42["mark","`+strings.Repeat("x", size)+`"]`, `42["mark",2]`)
	if p.JSONP {
		body = form(body)
	}
	post := poller{Base: p.Base, Protocol: p.Protocol, SID: p.SID, JSONP: p.JSONP}
	status, _, err := post.Request(http.MethodPost, "", strings.NewReader(body), "text/plain")
	if err != nil || status != http.StatusRequestEntityTooLarge {
		t.Errorf("the POST is answered %d, %v", status, err)
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
