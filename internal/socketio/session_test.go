package socketio

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/internal/engineio"
	"rollcall/rooms"

	"rollcall/internal/engineio/enginetest"
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
		if got, err := c.Next(); err != nil || got != a.want {
			t.Errorf("%s: %s, %v", a.send, got, err)
		}
	}
}

func TestBinaryEventsAreRefused(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		c.Send(`452-8["mark",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		attachment := []byte("abc")
		if protocol == 3 {
			attachment = []byte("\x04abc")
		}
		for range 2 {
			c.Conn.WriteMessage(websocket.BinaryMessage, attachment)
		}
		if got, err := c.Next(); err != nil || !strings.HasPrefix(got, `438[{"error":"binary_not_supported"`) {
			t.Errorf("%q, %v", got, err)
		}
		if err := c.Send(`42["burst",1]`); err != nil || c.Ticks(1) != nil {
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
			c.Send("40")
		}
		if got, err := c.Next(); err != nil || got != want {
			t.Errorf("protocol %d: %s, %v", protocol, got, err)
		}
		c.Send(`42["mark",1]`) // it has no business here
		if got, err := c.Next(); err == nil {
			t.Errorf("protocol %d: went on with %q", protocol, got)
		}
	}
	c, err := dial(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Send(`40{"refuse":"yes"}`)
	if got, _ := c.Next(); !strings.HasPrefix(got, "44") {
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
			c.Send("41")
			c.Send("40")
			got, err := c.Next()
			if err != nil || !strings.HasPrefix(got, "40") {
				t.Fatalf("protocol %d, round %d: %q, %v", protocol, round, got, err)
			}
			if _, err := c.Ask(1, `["marks"]`); err != nil {
				t.Fatal(err)
			}
		}
		if n, connects := len(d.conns()), d.connects.Load(); n != 1 || connects != 21 {
			t.Errorf("protocol %d: %d in, %d came", protocol, n, connects)
		}
	}
}

// A client that has left gets nothing more, though the connection stays.
func TestNothingAfterLeaving(t *testing.T) {
	d, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	left := d.conns()[0]
	c.Send("41")
	eventually(t, "it has left", func() bool { return len(d.conns()) == 0 })
	left.Send(d.ticks(1))
	c.Send("40")
	if got, err := c.Next(); err != nil || !strings.HasPrefix(got, "40") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRateLimit(t *testing.T) {
	d, base := start(t, Options{Options: engineio.Options{PacketsPerSecond: 1, PacketsBurst: 5}})
	c := mustJoin(t, base, 4, "")
	other := mustJoin(t, base, 4, "")
	taken, refused := 0, 0
	for range 8 {
		got, err := c.Ask(1, `["burst",0]`)
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
	for range 100 { // it does not slow down: closed
		c.Send(`42["burst",0]`)
	}
	var err error
	for err == nil {
		_, err = c.Next()
	}
	if !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error(err)
	}
	if _, err := other.Ask(1, `["marks"]`); err != nil {
		t.Error("another client was touched:", err)
	}
	eventually(t, "the one is gone", func() bool { return len(d.conns()) == 1 })
}

// What is over the rate is not read any further than its name.
func TestOverTheRateIsNotDecoded(t *testing.T) {
	_, base := start(t, Options{Options: engineio.Options{PacketsPerSecond: 1, PacketsBurst: 2}})
	c := mustJoin(t, base, 4, "")
	for range 2 {
		if _, err := c.Ask(1, `["burst",0]`); err != nil {
			t.Fatal(err)
		}
	}
	for event, want := range map[string]string{
		`["broken",{`:  `"event":"broken"`,
		`["conn\u65",`: `"event":""`,
	} {
		c.Send("42" + event)
		if got, err := c.Next(); err != nil || !strings.Contains(got, "rate_limited") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v", event, got, err)
		}
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
		_, base := start(t, Options{Options: engineio.Options{PacketsPerSecond: 1, PacketsBurst: 5}})
		c := mustJoin(t, base, 4, "")
		for range 40 {
			for _, p := range packets {
				c.Send(p)
			}
		}
		var err error
		for err == nil {
			_, err = c.Next()
		}
		if !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestReasons(t *testing.T) {
	// Each on a server of its own: a slow machine must not time the second out.
	reasonOf := func(opts Options, end func(*enginetest.Client)) rooms.Reason {
		d, base := start(t, opts)
		end(mustJoin(t, base, 4, ""))
		eventually(t, "it is gone", func() bool { return len(d.conns()) == 0 })
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.reasons[0]
	}
	silent := reasonOf(Options{Options: engineio.Options{PingInterval: 50 * time.Millisecond, PingTimeout: 100 * time.Millisecond}}, func(*enginetest.Client) {})
	closed := reasonOf(Options{}, func(c *enginetest.Client) { c.Conn.Close() })
	if silent != rooms.Timeout || closed != rooms.Closed {
		t.Error(silent, closed)
	}
}

func TestHandlerPanicCostsOneConnection(t *testing.T) {
	_, base := start(t, Options{Options: engineio.Options{Log: Options{}.withDefaults().Log}})
	c, other := mustJoin(t, base, 4, ""), mustJoin(t, base, 4, "")
	if got, err := c.Ask(1, `["panic"]`); err != nil || !strings.Contains(got, `"internal"`) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.Next(); err == nil {
		t.Error("it goes on")
	}
	if _, err := other.Ask(1, `["marks"]`); err != nil {
		t.Error(err)
	}
}

// A client that is sent away is told so, and does not come back by itself; one
// that may come back sees a closed transport only.
func TestSentAway(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for event, want := range map[string]string{"dismiss": "disconnected", "close": ""} {
			_, base := start(t, Options{})
			c := mustJoin(t, base, protocol, "")
			c.Send(`42["burst",3]`)
			c.Send(`42["` + event + `"]`)
			if err := c.Ticks(3); err != nil {
				t.Fatal(err)
			}
			got, err := c.Next()
			if want == "" && err == nil || want != "" && (err != nil || got != "41") {
				t.Errorf("EIO %d, %s: %q, %v", protocol, event, got, err)
			}
		}
	}
}

// What the domain sends while the socket connects comes after CONNECT.
func TestConnectComesFirst(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{})
		for range 50 {
			c := mustJoin(t, base, protocol, "&early=20")
			if err := c.Ticks(20); err != nil {
				t.Fatal(err)
			}
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
		if err := c.Ticks(n); err != nil {
			t.Error(err)
		}
	}
}
