package socketio

import (
	"strings"
	"testing"
	"time"

	testclient "rollcall/e2e/client"
	"rollcall/internal/engineio"
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
		c.Send(a.send)
		expect(t, c, a.want)
	}
}

// A binary event is refused, whether its attachments come as such or, from clients with
// forceBase64, as base64; and it costs no more than that.
func TestBinaryEventsAreRefused(t *testing.T) {
	for protocol, attachments := range map[int][2]string{3: {"\x04abc", "b4AQID"}, 4: {"abc", "bAQID"}} {
		_, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		for _, send := range []func() error{
			func() error { return c.SendBinary(attachments[0]) },
			func() error { return c.Send(attachments[1]) },
		} {
			c.Send(`452-8["mark",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
			send()
			send()
			expect(t, c, `438[{"error":"binary_not_supported"…`)
			c.Send(`42["burst",1]`)
			ticks(t, c, 1)
		}
		c.Send("b#")
		expectClose(t, c)
	}
}

// What waits for its attachments is not held: it will be refused.
func TestBinaryEventsAreNotHeld(t *testing.T) {
	_, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	c.Send(`451-7["mark",{"_placeholder":true,"num":0},"` + strings.Repeat("x", 60_000) + `"]`)
	c.SendBinary("\x01")
	expect(t, c, `437[{"error":"binary_not_supported"…`)
	p := packet{kind: typeBinaryEvent, missing: 1, data: []byte(`["mark","` + strings.Repeat("x", 60_000) + `"]`)}
	size, waiting := len(p.data), &client{srv: &Server{}}
	waiting.awaitAttachments(&p)
	if kept := waiting.partial; string(kept.data) != `["mark"]` || kept.size != size {
		t.Errorf("%.50q of %d bytes is kept", kept.data, kept.size)
	}
}

func TestConnectRefused(t *testing.T) {
	d, base := start(t, Options{})
	for protocol, want := range map[int]string{
		4: `44{"data":{"error":"refused","message":"as asked","ok":false},"message":"refused"}`,
		3: `44{"error":"refused","message":"as asked","ok":false}`,
	} {
		c := knock(t, base, protocol, "refuse=1")
		expect(t, c, want)
		c.Send(`42["mark",1]`) // it has no business here
		expectClose(t, c)
	}
	c, err := dial(base, 4, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Send(`40{"refuse":"yes"}`) // in auth
	expect(t, c, "44…")
	if n := len(d.conns()); n != 0 {
		t.Errorf("%d sockets are in", n)
	}
}

// A client may leave the namespace and come back on the same connection. In between it
// gets nothing.
func TestLeaveAndReturn(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		d, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		for range 20 {
			comeBack(t, c)
			mustAsk(t, c, `["marks"]`)
		}
		if n, connects := len(d.conns()), d.connects.Load(); n != 1 || connects != 21 {
			t.Errorf("protocol %d: %d in, %d came", protocol, n, connects)
		}
		left := d.conns()[0]
		c.Send("41")
		eventually(t, "it has left", func() bool { return len(d.conns()) == 0 })
		left.Send(d.ticks(1))
		c.Send("40")
		expect(t, c, "40…")
	}
}

func TestRateLimit(t *testing.T) {
	_, base := start(t, Options{Options: engineio.Options{PacketsPerSecond: 1, PacketsBurst: 5}})
	c := mustJoin(t, base, 4, "")
	taken, refused := 0, 0
	for refused == 0 && taken < 200 { // a slow client has more taken
		if strings.Contains(mustAsk(t, c, `["burst",0]`), "rate_limited") {
			refused++
		} else {
			taken++
		}
	}
	if taken < 5 || refused != 1 {
		t.Errorf("%d taken, %d refused", taken, refused)
	}
}

// What is over the rate is not read any further than its name.
func TestOverTheRateIsNotDecoded(t *testing.T) {
	_, base := start(t, Options{Options: engineio.Options{PacketsPerSecond: 1, PacketsBurst: 8}})
	c := mustJoin(t, base, 4, "")
	filler := strings.Repeat(" ", 60_000) // each counts as eight, so there is time
	mustAsk(t, c, `["burst",0`+filler+`]`)
	for event, want := range map[string]string{
		`["broken",{`:  `"event":"broken"`,
		`["conn\u65",`: `"event":""`,
	} {
		c.Send("42" + event + filler)
		if got, err := c.Next(); err != nil || !strings.Contains(got, "rate_limited") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v", event, got, err)
		}
	}
}

// Whatever a client floods with, it is closed, and no other one. Leaving and entering
// the namespace again makes nothing new.
func TestFloods(t *testing.T) {
	for kind, packets := range map[string][]string{
		"event":           {`42["burst",0]`},
		"namespace":       {"41", "40"},
		"acknowledgement": {`430[1]`},
		"other namespace": {"40/x,"},
		"ping":            {"2"},
	} {
		d, base := start(t, Options{Options: engineio.Options{PacketsPerSecond: 1, PacketsBurst: 5}})
		c, other := mustJoin(t, base, 4, ""), mustJoin(t, base, 4, "")
		for range 40 {
			for _, p := range packets {
				c.Send(p)
			}
		}
		t.Log(kind)
		expectClose(t, c)
		mustAsk(t, other, `["marks"]`)
		eventually(t, "the one is gone", func() bool { return len(d.conns()) == 1 })
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	// Each on a server of its own: a slow machine must not time the second out.
	reasonOf := func(opts Options, end func(*testclient.Conn)) rooms.Reason {
		d, base := start(t, opts)
		end(mustJoin(t, base, 4, ""))
		eventually(t, "it is gone", func() bool { return len(d.conns()) == 0 })
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.reasons[0]
	}
	silent := reasonOf(Options{Options: engineio.Options{PingInterval: time.Second, PingTimeout: 2 * time.Second}}, func(*testclient.Conn) {})
	closed := reasonOf(Options{}, func(c *testclient.Conn) { c.Conn.Close() })
	if silent != rooms.Timeout || closed != rooms.Closed {
		t.Error(silent, closed)
	}
}

func TestHandlerPanicCostsOneConnection(t *testing.T) {
	_, base := start(t, Options{Options: engineio.Options{Log: Options{}.withDefaults().Log}})
	c, other := mustJoin(t, base, 4, ""), mustJoin(t, base, 4, "")
	if got := mustAsk(t, c, `["panic"]`); !strings.Contains(got, `"internal"`) {
		t.Error(got)
	}
	expectClose(t, c)
	mustAsk(t, other, `["marks"]`)
}

// A client that is sent away is told so, and does not come back by itself; one
// that may come back sees a closed transport only.
func TestSentAway(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for event, want := range map[string][]string{"dismiss": {"41"}, "close": nil} {
			_, base := start(t, Options{})
			c := mustJoin(t, base, protocol, "")
			c.Send(`42["burst",3]`)
			c.Send(`42["` + event + `"]`)
			ticks(t, c, 3)
			expect(t, c, want...)
			expectClose(t, c)
		}
	}
}

// What the domain sends while the socket connects comes after CONNECT. A client that comes
// back is the same as before: the query is that of its handshake.
func TestConnectComesFirst(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{})
		for range 50 {
			c := mustJoin(t, base, protocol, "early=20")
			ticks(t, c, 20)
			comeBack(t, c)
			ticks(t, c, 20)
			c.Conn.Close()
		}
	}
}

// Sending takes no lock of the session, before the answer to CONNECT or after it: it may
// wait for room among the queues of all clients.
func TestSendTakesNoLock(t *testing.T) {
	d, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	connected := d.conns()[0].(*session)
	connected.awaitConnected() // the client may know before
	connecting := newSession(connected.client, "/")
	sent := make(chan struct{})
	for _, s := range []*session{connected, connecting} {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	go func() {
		defer close(sent)
		connecting.Send(d.ticks(3))
		d.srv.Fanout([]rooms.Delivery{{Frames: d.ticks(1), To: []rooms.Conn{connecting, connected}}})
		connected.Send(d.ticks(1))
		connecting.out.Open()
	}()
	select {
	case <-sent:
	case <-time.After(patience):
		t.Fatal("a session's lock is waited for")
	}
	for _, n := range []int{1, 1, 3, 1} {
		ticks(t, c, n)
	}
}

// A client is not sent back more of an event's name than any event has: as JSON it
// could be six times as long.
func TestLongNamesAreNotEchoed(t *testing.T) {
	_, base := start(t, Options{Options: engineio.Options{PacketsPerSecond: 1, PacketsBurst: 100}})
	c := mustJoin(t, base, 4, "")
	for range 20 { // the last ones are over the rate
		for _, name := range []string{strings.Repeat("<", 60_000), "x" + strings.Repeat("é", 30_000)} {
			c.Send(`42["` + name + `"]`)
			got, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got, "rollcall_error") || len(got) > 6*maxName+200 || strings.Contains(got, "\uFFFD") || strings.Contains(got, `\ufffd`) {
				t.Fatalf("%d bytes: %.100q", len(got), got)
			}
		}
	}
	if got := shorten(strings.Repeat("x", maxName)); len(got) != maxName {
		t.Errorf("a name that is not too long has %d bytes", len(got))
	}
}
