package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/rooms"
)

func TestAnswers(t *testing.T) {
	_, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	for _, a := range []struct{ send, want string }{
		{`427["marks"]`, `437[{"marks":null,"ok":true}]`},
		{`420["nonsense"]`, `430[{"error":"unknown_event","message":"no such event","ok":false}]`},
		{`429007199254740991["burst",0]`, `439007199254740991[{"ok":true}]`},
		{`42["nonsense",1]`, `42["rollcall_error",{"error":"unknown_event","event":"nonsense","message":"no such event","ok":false}]`},
		{`42[3]`, `42["rollcall_error",{"error":"unknown_event","event":"3","message":"no such event","ok":false}]`},
		{`42`, `42["rollcall_error",{"error":"bad_event","event":"","message":"The event has no name.","ok":false}]`},
		{`421`, `431[{"error":"bad_event","message":"The event has no name.","ok":false}]`},
	} {
		c.send(a.send)
		if got, err := c.next(); err != nil || got != a.want {
			t.Errorf("%s: %s, %v", a.send, got, err)
		}
	}
}

func TestBinaryEventsAreRefused(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		c.send(`452-8["mark",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		attachment := []byte("abc")
		if protocol == 3 {
			attachment = []byte("\x04abc")
		}
		for range 2 {
			c.conn.WriteMessage(websocket.BinaryMessage, attachment)
		}
		if got, err := c.next(); err != nil || !strings.HasPrefix(got, `438[{"error":"binary_not_supported"`) {
			t.Errorf("%q, %v", got, err)
		}
		if err := c.send(`42["burst",1]`); err != nil || c.ticks(1) != nil {
			t.Error("the connection did not survive")
		}
	}
}

func TestConnectRefused(t *testing.T) {
	d, base := start(t, Options{})
	for protocol, want := range map[int]string{
		4: `44{"data":{"error":"refused","message":"as asked","ok":false},"message":"refused"}`,
		3: `44{"error":"refused","message":"as asked","ok":false}`,
	} {
		c, err := dial(base, protocol, "&refuse=1")
		if err != nil {
			t.Fatal(err)
		}
		if protocol == 4 {
			c.send("40")
		}
		if got, err := c.next(); err != nil || got != want {
			t.Errorf("protocol %d: %s, %v", protocol, got, err)
		}
		c.send(`42["mark",1]`) // it has no business here
		if got, err := c.next(); err == nil {
			t.Errorf("protocol %d: went on with %q", protocol, got)
		}
	}
	c, err := dial(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	c.send(`40{"refuse":"yes"}`)
	if got, _ := c.next(); !strings.HasPrefix(got, "44") {
		t.Errorf("auth was not looked at: %s", got)
	}
	if n := len(d.conns()); n != 0 {
		t.Errorf("%d sockets are in", n)
	}
}

// A client may leave the namespace and come back on the same connection.
func TestLeaveAndReturn(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		d, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		for round := range 20 {
			c.send("41")
			c.send("40")
			got, err := c.next()
			if err != nil || !strings.HasPrefix(got, "40") {
				t.Fatalf("protocol %d, round %d: %q, %v", protocol, round, got, err)
			}
			if _, err := c.ask(1, `["marks"]`); err != nil {
				t.Fatal(err)
			}
		}
		if n, connects := len(d.conns()), d.connects.Load(); n != 1 || connects != 21 {
			t.Errorf("protocol %d: %d in, %d came", protocol, n, connects)
		}
	}
}

// Who has left hears nothing more, though the connection stays.
func TestNothingAfterLeaving(t *testing.T) {
	d, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	left := d.conns()[0]
	c.send("41")
	eventually(t, "it has left", func() bool { return len(d.conns()) == 0 })
	left.Send(d.ticks(1))
	c.send("40")
	if got, err := c.next(); err != nil || !strings.HasPrefix(got, "40") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRateLimit(t *testing.T) {
	d, base := start(t, Options{EventsPerSecond: 1, EventsBurst: 5})
	c := mustJoin(t, base, 4, "")
	other := mustJoin(t, base, 4, "")
	taken, refused := 0, 0
	for range 8 {
		got, err := c.ask(1, `["burst",0]`)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got, "rate_limited") {
			refused++
		} else {
			taken++
		}
	}
	if taken < 5 || refused < 1 {
		t.Errorf("%d taken, %d refused", taken, refused)
	}
	for range 100 { // deaf to it: closed
		c.send(`42["burst",0]`)
	}
	var err error
	for err == nil {
		_, err = c.next()
	}
	if !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error(err)
	}
	if _, err := other.ask(1, `["marks"]`); err != nil {
		t.Error("another client was touched:", err)
	}
	eventually(t, "the one is gone", func() bool { return len(d.conns()) == 1 })
}

// What is over the rate is not read any further than its name.
func TestOverTheRateIsNotDecoded(t *testing.T) {
	_, base := start(t, Options{EventsPerSecond: 1, EventsBurst: 2})
	c := mustJoin(t, base, 4, "")
	for range 2 {
		if _, err := c.ask(1, `["burst",0]`); err != nil {
			t.Fatal(err)
		}
	}
	for event, want := range map[string]string{
		`["broken",{`:  `"event":"broken"`,
		`["conn\u65",`: `"event":""`,
	} {
		c.send("42" + event)
		if got, err := c.next(); err != nil || !strings.Contains(got, "rate_limited") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v", event, got, err)
		}
	}
}

// However fast a client sends, it is read at a megabyte a second, over either
// transport: what others have then does not depend on it.
func TestReadingRate(t *testing.T) {
	const events = 500
	packets := make([]string, events)
	size := 0
	for i := range packets {
		packets[i] = fmt.Sprintf(`42["mark",%d,%q]`, i, strings.Repeat("x", i%100))
		size += len(packets[i]) + frameCost
	}
	least := time.Duration(size-longestTurn) * perByte
	_, base := start(t, Options{})

	c := mustJoin(t, base, 4, "")
	began := time.Now()
	for _, p := range packets {
		c.send(p)
	}
	if _, err := c.ask(1, `["marks"]`); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < least {
		t.Errorf("WebSocket: %s, want %s", took, least)
	}

	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if _, err := p.post(p.join(packets...)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < least {
		t.Errorf("polling: %s, want %s", took, least)
	}
}

// Whatever a client floods with, it is closed, and leaving and entering the
// namespace again makes nothing new.
func TestFloods(t *testing.T) {
	for kind, packets := range map[string][]string{
		"namespace":       {"41", "40"},
		"acknowledgement": {`430[1]`},
		"other namespace": {"40/x,"},
		"ping":            {"2"},
	} {
		_, base := start(t, Options{EventsPerSecond: 1, EventsBurst: 5})
		c := mustJoin(t, base, 4, "")
		for range 40 {
			for _, p := range packets {
				c.send(p)
			}
		}
		var err error
		for err == nil {
			_, err = c.next()
		}
		if !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestReasons(t *testing.T) {
	// Each on a server of its own: a slow machine must not time the second out.
	reasonOf := func(opts Options, end func(*client)) rooms.Reason {
		d, base := start(t, opts)
		end(mustJoin(t, base, 4, ""))
		eventually(t, "it is gone", func() bool { return len(d.conns()) == 0 })
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.reasons[0]
	}
	silent := reasonOf(Options{PingInterval: 50 * time.Millisecond, PingTimeout: 100 * time.Millisecond}, func(*client) {})
	closed := reasonOf(Options{}, func(c *client) { c.conn.Close() })
	if silent != rooms.Timeout || closed != rooms.Closed {
		t.Error(silent, closed)
	}
}

func TestHandlerPanicCostsOneConnection(t *testing.T) {
	_, base := start(t, Options{Log: Options{}.withDefaults().Log})
	c, other := mustJoin(t, base, 4, ""), mustJoin(t, base, 4, "")
	if got, err := c.ask(1, `["panic"]`); err != nil || !strings.Contains(got, `"internal"`) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.next(); err == nil {
		t.Error("it goes on")
	}
	if _, err := other.ask(1, `["marks"]`); err != nil {
		t.Error(err)
	}
}

func TestOrigins(t *testing.T) {
	_, base := start(t, Options{OriginAllowed: func(r *http.Request) bool {
		origin := r.Header.Get("Origin")
		return origin == "" || origin == "https://app.example" || origin == "http://"+r.Host
	}})
	for origin, status := range map[string]int{
		"": 200, "https://app.example": 200, base: 200, "https://evil.example": 403, "null": 403,
	} {
		r, _ := http.NewRequest(http.MethodGet, endpoint(base, "polling", 4, ""), nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		response, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("origin %q: %d", origin, response.StatusCode)
		}
		if got := response.Header.Get("Access-Control-Allow-Origin"); status == 200 && got != origin {
			t.Errorf("origin %q: allowed %q", origin, got)
		}
	}
	_, response, err := dialer.Dial(endpoint(base, "websocket", 4, ""), http.Header{"Origin": {"https://evil.example"}})
	if err == nil || response.StatusCode != http.StatusForbidden {
		t.Error("a WebSocket from a foreign origin was let in")
	}
}

// With JSONP off a script gets neither a session nor a word of one.
func TestNoJSONP(t *testing.T) {
	_, base := start(t, Options{NoJSONP: true})
	open, err := pollJoin(base, 3, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"&j=0", "&j", "&b64=1&j=1", "&j=0&sid=" + open.sid, "&j=x&sid=nobody"} {
		response, err := web.Get(endpoint(base, "polling", 3, query))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden || string(body) != `{"code":4,"message":"JSONP is off"}` {
			t.Errorf("%s: %d %s", query, response.StatusCode, body)
		}
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	_, base := start(t, Options{MaxPerAddress: 2})
	a, err1 := join(base, 4, "")
	_, err2 := pollJoin(base, 4, "")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	_, response, err := dialer.Dial(endpoint(base, "websocket", 4, ""), nil)
	if err == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Error("a third connection was let in")
	}
	a.conn.Close()
	eventually(t, "there is room again", func() bool {
		c, err := join(base, 4, "")
		if err == nil {
			c.conn.Close()
		}
		return err == nil
	})
}

func TestConnectionsInAll(t *testing.T) {
	d, base := start(t, Options{MaxConnections: 2})
	a, err1 := join(base, 4, "")
	b, err2 := pollJoin(base, 4, "")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	b.holdPoll(t, d)
	if _, err := poll(base, 4, ""); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a third connection: %v", err)
	}
	a.conn.Close()
	eventually(t, "there is room again", func() bool {
		_, err := poll(base, 4, "")
		return err == nil
	})
}

// forgotten are sessions over polling that nobody has gone on with yet.
func forgotten(t *testing.T, base string, n int) (made []*poller) {
	t.Helper()
	for range n {
		p, err := poll(base, 4, "")
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, p)
	}
	return made
}

// giveUp asks for a session over polling, and demands that there is no answer
// until it gives up. No network is between: the server has the request.
func giveUp(t *testing.T, d *domain, base string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, endpoint(base, "polling", 4, ""), nil)
	request.RemoteAddr = "127.0.0.1:1"
	d.srv.ServeHTTP(httptest.NewRecorder(), request)
	if ctx.Err() == nil {
		t.Error("it was answered at once")
	}
}

// Sessions that nobody goes on with make room for others, the oldest first; those
// that are used stay.
func TestUnclaimed(t *testing.T) {
	d, base := start(t, Options{})
	d.srv.maxUnclaimed = 2
	used, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	made := forgotten(t, base, 4)
	for i, p := range made {
		_, err := p.post(p.join("40"))
		if ended := err != nil; ended != (i < 2) {
			t.Errorf("session %d of 4: %v", i, err)
		}
	}
	if status, err := used.post(used.join(`42["burst",1]`)); err != nil {
		t.Errorf("the one that is used: %d %v", status, err)
	}
	unclaimed := func() int {
		d.srv.mu.Lock()
		defer d.srv.mu.Unlock()
		return d.srv.unclaimed.Len()
	}
	if _, err := made[2].next(); err != nil || unclaimed() != 1 {
		t.Errorf("after a poll: %v, %d are unclaimed", err, unclaimed())
	}
	made[3].post(made[3].join("1")) // who leaves is not waited for
	if n := unclaimed(); n != 0 {
		t.Errorf("%d are unclaimed", n)
	}
}

// While there are many sessions that nobody goes on with, the next one is a while
// in coming, and not made at all for who does not wait.
func TestCrowd(t *testing.T) {
	d, base := start(t, Options{})
	d.srv.crowd, d.srv.holdTime = 2, time.Hour
	made := forgotten(t, base, 2)
	held := func() int {
		d.srv.mu.Lock()
		defer d.srv.mu.Unlock()
		return d.srv.held
	}
	giveUp(t, d, base)
	if n := held(); n != 2 {
		t.Errorf("%d are held", n)
	}
	c, err := dial(base, 4, "")
	if err != nil {
		t.Errorf("a WebSocket is no part of it: %v", err)
	}
	defer c.conn.Close()
	if _, err := made[0].post(made[0].join("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := poll(base, 4, ""); err != nil {
		t.Errorf("the crowd is over: %v", err)
	}

	// Nor is who is refused told so at once.
	d, base = start(t, Options{MaxPerAddress: 1})
	d.srv.holdTime = time.Hour
	mustJoin(t, base, 4, "")
	giveUp(t, d, base)

	d, base = start(t, Options{})
	d.srv.crowd, d.srv.holdTime = 0, time.Millisecond
	if _, err := poll(base, 4, ""); err != nil {
		t.Errorf("who waits comes in: %v", err)
	}
}

// A client that is sent away is told so, and does not come back by itself; one
// that may come back sees a closed transport only.
func TestSentAway(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for event, want := range map[string]string{"dismiss": "disconnected", "close": ""} {
			_, base := start(t, Options{})
			c := mustJoin(t, base, protocol, "")
			c.send(`42["burst",3]`)
			c.send(`42["` + event + `"]`)
			if err := c.ticks(3); err != nil {
				t.Fatal(err)
			}
			got, err := c.next()
			if want == "" && err == nil || want != "" && (err != nil || got != "41") {
				t.Errorf("EIO %d, %s: %q, %v", protocol, event, got, err)
			}
		}
	}
}

// Over polling the close comes alone, after what was said before: clients of 4.x
// act on it before the events of the same answer.
func TestCloseComesAlone(t *testing.T) {
	_, base := start(t, Options{CloseTimeout: patience})
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	if status, err := p.post(p.join(`42["burst",2]`, `42["dismiss"]`)); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	var answers []string
	for len(answers) == 0 || !strings.HasSuffix(answers[len(answers)-1], "1") || strings.HasSuffix(answers[len(answers)-1], "41") {
		_, body, err := p.request(http.MethodGet, "", nil, "")
		if err != nil || len(answers) > 5 {
			t.Fatal(answers, err)
		}
		answers = append(answers, body)
	}
	if last := answers[len(answers)-1]; last != "1" {
		t.Errorf("the close came with %q", last)
	}
	if all := strings.Join(answers, "\x1e"); !strings.HasPrefix(all, "42[\"tick\",0]\x1e42[\"tick\",1]\x1e41") {
		t.Errorf("%q", all)
	}
}
