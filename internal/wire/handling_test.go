package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// marked is what a session's client marked, in the order in which it was handled.
func (d *domain) marked(sid string) (marks []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.marks[sid] {
		marks = append(marks, string(m))
	}
	return marks
}

// takeOver brings a polling session to a WebSocket, whatever else it is doing.
func takeOver(t *testing.T, d *domain, p *poller) *client {
	t.Helper()
	conn, _, err := dialer.Dial(endpoint(p.base, "websocket", p.protocol, "&sid="+p.sid), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{conn: conn}
	c.send("2probe")
	if got, err := c.next(); err != nil || got != "3probe" {
		t.Fatalf("the probe is answered %q, %v", got, err)
	}
	c.send("5")
	eventually(t, "the WebSocket has taken over", func() bool { return d.link(p.sid).Name() == overWebSocket })
	return c
}

// link finds a session's.
func (d *domain) link(sid string) *link {
	d.srv.mu.Lock()
	defer d.srv.mu.Unlock()
	return d.srv.links[sid]
}

// only is the id of the one socket that is in.
func (d *domain) only(t *testing.T) string {
	t.Helper()
	conns := d.conns()
	if len(conns) != 1 {
		t.Fatalf("%d sockets are in", len(conns))
	}
	return conns[0].ID()
}

// glimpse is how long a test gives a faulty server to do what it must not. One
// that is right does not depend on it.
const glimpse = 50 * time.Millisecond

// A POST is still being handled when the WebSocket takes over: what comes over
// the WebSocket waits for it. With -race this also finds two goroutines in one
// session.
func TestWebSocketWaitsForPOST(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for _, more := range []string{"", "&j=0"} {
			d, base := start(t, Options{})
			join := func() (*poller, error) { return pollJoin(base, protocol, "") }
			if more != "" {
				join = func() (*poller, error) { return jsonpJoin(base, protocol) }
			}
			p, err := join()
			if err != nil {
				t.Fatal(err)
			}
			id := d.only(t)
			posted := make(chan error, 1)
			go func() {
				_, err := p.post(p.join(`42["gate"]`, `42["mark",1]`, `42["mark",2]`))
				posted <- err
			}()
			eventually(t, "the POST is being handled", func() bool {
				l := d.link(p.sid)
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.posted != nil
			})
			c := takeOver(t, d, p)
			for i := 3; i < 50; i++ {
				c.send(fmt.Sprintf(`42["mark",%d]`, i))
			}
			time.Sleep(glimpse)
			if marks := d.marked(id); len(marks) > 0 {
				t.Errorf("protocol %d%s: %v were handled beside the POST", protocol, more, marks)
			}
			close(d.gate)
			if err := <-posted; err != nil {
				t.Error(err)
			}
			if _, err := c.ask(1, `["marks"]`); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i := 1; i < 50; i++ {
				want = append(want, fmt.Sprint(i))
			}
			if marks := d.marked(id); !slices.Equal(marks, want) {
				t.Errorf("protocol %d%s: handled as %v", protocol, more, marks)
			}
			if status, _, err := p.request(http.MethodPost, "", strings.NewReader(p.join("3")), ""); err != nil || status != http.StatusBadRequest {
				t.Errorf("a POST after the WebSocket took over: %d, %v", status, err)
			}
		}
	}
}

// jsonpJoin is a session over polling by script. Its posts are not forms, which
// only browsers need: post makes one of them.
func jsonpJoin(base string, protocol int) (*poller, error) {
	p := &poller{base: base, protocol: protocol, jsonp: true}
	status, body, err := p.request(http.MethodGet, "", nil, "")
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("handshake: %d %q %w", status, body, err)
	}
	open := p.split(body)
	c := &client{}
	if err := c.opened(open[0]); err != nil {
		return nil, err
	}
	p.sid, p.pending = c.sid, open[1:]
	if protocol == 4 {
		if _, err := p.post("40"); err != nil {
			return nil, err
		}
	}
	if answer, err := p.next(); err != nil || !strings.HasPrefix(answer, "40") {
		return nil, fmt.Errorf("no CONNECT: %.80q %w", answer, err)
	}
	return p, nil
}

// form is what a script posts.
func form(payload string) string {
	return url.Values{"d": {strings.ReplaceAll(payload, "\n", `\n`)}}.Encode()
}

// The wait for a POST that does not end ends with the session.
func TestWaitForPOSTEnds(t *testing.T) {
	d, base := start(t, Options{})
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	l := d.link(p.sid)
	go p.post(`42["gate"]`)
	eventually(t, "the POST is being handled", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.posted != nil })
	c := takeOver(t, d, p)
	d.conns()[0].Close(false)
	for err == nil {
		_, _, err = c.conn.ReadMessage()
	}
	eventually(t, "the session has ended", func() bool { return len(d.conns()) == 0 })
	close(d.gate)
	<-l.over
}

// Two POSTs at a time end the session, and nothing of the second is handled.
func TestTwoPOSTs(t *testing.T) {
	d, base := start(t, Options{})
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	id, l := d.only(t), d.link(p.sid)
	posted := make(chan error, 1)
	go func() {
		_, err := p.post(p.join(`42["gate"]`, `42["mark",1]`))
		posted <- err
	}()
	eventually(t, "the POST is being handled", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.posted != nil })
	if status, _ := p.post(`42["mark",2]`); status != http.StatusBadRequest {
		t.Errorf("the second POST is answered %d", status)
	}
	eventually(t, "the session has ended", func() bool { return len(d.conns()) == 0 })
	close(d.gate)
	if err := <-posted; err != nil {
		t.Error(err)
	}
	if marks := d.marked(id); len(marks) > 0 {
		t.Errorf("%v were handled after the end", marks)
	}
}

// From the end on nothing that a client sends is handled, whatever brought the
// end and whatever carries it. What is queued can still be fetched.
func TestNothingIsHandledAfterTheEnd(t *testing.T) {
	ends := map[string]func(d *domain, sid string){
		"sent away":                         func(d *domain, _ string) { d.conns()[0].Close(false) },
		"closed":                            func(d *domain, _ string) { d.conns()[0].Close(true) },
		"shut down":                         func(d *domain, sid string) { d.link(sid).close() },
		"a packet that breaks the protocol": func(d *domain, sid string) { d.link(sid).session.Load().violation() },
	}
	for name, end := range ends {
		for _, protocol := range []int{3, 4} {
			for _, kind := range []string{"polling", "jsonp", "websocket"} {
				t.Run(fmt.Sprintf("%s, %s, protocol %d", name, kind, protocol), func(t *testing.T) {
					t.Parallel()
					d, base := start(t, Options{CloseTimeout: patience})
					endsForGood(t, d, base, protocol, kind, end)
				})
			}
		}
	}
}

func endsForGood(t *testing.T, d *domain, base string, protocol int, kind string, end func(*domain, string)) {
	var p *poller
	var c *client
	var err error
	switch kind {
	case "websocket":
		c = mustJoin(t, base, protocol, "")
		p = &poller{sid: c.sid}
	case "jsonp":
		p, err = jsonpJoin(base, protocol)
	default:
		p, err = pollJoin(base, protocol, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	id, conn := d.only(t), d.conns()[0]
	conn.Send(d.ticks(3))
	end(d, p.sid)
	for i := range 5 {
		mark := fmt.Sprintf(`42["mark",%d]`, i)
		if c != nil {
			c.send(mark)
		} else if status, err := p.post(p.join(mark, "41", "40", mark)); err != nil {
			t.Fatalf("a POST while closing: %d, %v", status, err)
		}
	}
	eventually(t, "the domain has heard of the end", func() bool { return len(d.conns()) == 0 })
	next := p.next
	if c != nil {
		next = c.next
	}
	var got []string
	for packet := ""; packet != "1"; {
		if packet, err = next(); err != nil {
			break
		}
		got = append(got, packet)
	}
	if len(got) < 3 || got[2] != `42["tick",2]` {
		t.Errorf("what was queued came as %q, %v", got, err)
	}
	if c != nil && !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error(err)
	}
	if marks := d.marked(id); len(marks) > 0 || d.connects.Load() != 1 {
		t.Errorf("after the end: %v, %d CONNECTs", marks, d.connects.Load())
	}
}

// Binary may come as base64 over any transport, from clients with forceBase64.
func TestBase64OverWebSocket(t *testing.T) {
	for protocol, attachment := range map[int]string{3: "b4AQID", 4: "bAQID"} {
		_, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		c.send(`452-8["mark",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		c.send(attachment)
		c.send(attachment)
		if got, err := c.next(); err != nil || !strings.HasPrefix(got, `438[{"error":"binary_not_supported"`) {
			t.Errorf("protocol %d: %q, %v", protocol, got, err)
		}
		if err := c.send(`42["burst",1]`); err != nil || c.ticks(1) != nil {
			t.Error("the connection did not survive")
		}
		c.send("b#")
		if got, err := c.next(); err == nil {
			t.Errorf("protocol %d: nonsense is answered %q", protocol, got)
		}
	}
}
