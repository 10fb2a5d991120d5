package engineio

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// takeOver brings a polling session to a WebSocket, whatever else it is doing.
func takeOver(t *testing.T, d *fixture, p *poller) *client {
	t.Helper()
	c := mustCandidate(t, p, "2probe")
	expect(t, c, "3probe")
	c.Send("5")
	eventually(t, "the WebSocket has taken over", func() bool { return d.connOf(p.SID).Transport() == WebSocket })
	return c
}

// postGate posts an event that waits for the gate, and others behind it, and returns when
// the POST is being handled.
func (d *fixture) postGate(t *testing.T, p *poller, events ...string) (posted chan error) {
	t.Helper()
	posted = make(chan error, 1)
	go func() { _, err := p.Post(append([]string{`42["gate"]`}, events...)...); posted <- err }()
	l := d.connOf(p.SID)
	await(t, "the POST is being handled", l, func() bool { return l.carrier.posted != nil })
	return posted
}

// A POST is still being handled when the WebSocket takes over: what comes over
// the WebSocket waits for it. With -race this also finds two goroutines in one
// session.
func TestWebSocketWaitsForPOST(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for _, more := range []string{"", "j=0"} {
			d, base := start(t, Options{})
			p := mustPoll(t, base, protocol, more)
			posted := d.postGate(t, p, `42["mark",1]`, `42["mark",2]`)
			c := takeOver(t, d, p)
			for i := 3; i < 50; i++ {
				c.Send(fmt.Sprintf(`42["mark",%d]`, i))
			}
			time.Sleep(50 * time.Millisecond) // for a faulty server to do what it must not
			if marks := d.marked(p.SID); len(marks) > 0 {
				t.Errorf("protocol %d%s: %v were handled beside the POST", protocol, more, marks)
			}
			close(d.gate)
			if err := <-posted; err != nil {
				t.Error(err)
			}
			mustAsk(t, c, `["marks"]`)
			var want []string
			for i := 1; i < 50; i++ {
				want = append(want, fmt.Sprint(i))
			}
			if marks := d.marked(p.SID); !slices.Equal(marks, want) {
				t.Errorf("protocol %d%s: handled as %v", protocol, more, marks)
			}
			if status, _ := p.Post("3"); status != http.StatusBadRequest {
				t.Errorf("a POST after the WebSocket took over: %d", status)
			}
		}
	}
}

// The wait for a POST that does not end ends with the session.
func TestWaitForPOSTEnds(t *testing.T) {
	d, base := start(t, Options{})
	p := mustPoll(t, base, 4, "")
	l := d.connOf(p.SID)
	d.postGate(t, p)
	c := takeOver(t, d, p)
	d.conns()[0].Close(false)
	for err := error(nil); err == nil; {
		_, _, err = c.Conn.ReadMessage()
	}
	eventually(t, "the session has ended", func() bool { return len(d.conns()) == 0 })
	close(d.gate)
	<-l.over
}

// Two POSTs at a time end the session, and nothing of the second is handled.
func TestTwoPOSTs(t *testing.T) {
	d, base := start(t, Options{})
	p := mustPoll(t, base, 4, "")
	posted := d.postGate(t, p, `42["mark",1]`)
	if status, _ := p.Post(`42["mark",2]`); status != http.StatusBadRequest {
		t.Errorf("the second POST is answered %d", status)
	}
	eventually(t, "the session has ended", func() bool { return len(d.conns()) == 0 })
	close(d.gate)
	if err := <-posted; err != nil {
		t.Error(err)
	}
	if marks := d.marked(p.SID); len(marks) > 0 {
		t.Errorf("%v were handled after the end", marks)
	}
}

// From the end on nothing that a client sends is handled, whatever brought the
// end and whatever carries it. What is queued can still be fetched.
func TestNothingIsHandledAfterTheEnd(t *testing.T) {
	ends := map[string]func(d *fixture, sid string){
		"sent away":                         func(d *fixture, _ string) { d.conns()[0].Close(false) },
		"closed":                            func(d *fixture, _ string) { d.conns()[0].Close(true) },
		"shut down":                         func(d *fixture, sid string) { d.connOf(sid).Close() },
		"a packet that breaks the protocol": func(d *fixture, sid string) { d.connOf(sid).Violation() },
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

func endsForGood(t *testing.T, d *fixture, base string, protocol int, kind string, end func(*fixture, string)) {
	var p *poller
	var c *client
	var err error
	switch kind {
	case "websocket":
		c = mustJoin(t, base, protocol, "")
		p = &poller{SID: c.SID}
	case "jsonp":
		p = mustPoll(t, base, protocol, "j=0")
	default:
		p = mustPoll(t, base, protocol, "")
	}
	conn := d.conns()[0]
	conn.Send(d.ticks(3))
	end(d, p.SID)
	for i := range 5 {
		mark := fmt.Sprintf(`42["mark",%d]`, i)
		if c != nil {
			c.Send(mark)
		} else if status, err := p.Post(mark, "41", "40", mark); err != nil {
			t.Fatalf("a POST while closing: %d, %v", status, err)
		}
	}
	eventually(t, "the session has heard of the end", func() bool { return len(d.conns()) == 0 })
	next := p.Next
	if c != nil {
		next = c.Next
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
	if marks := d.marked(p.SID); len(marks) > 0 || d.connects.Load() != 1 {
		t.Errorf("after the end: %v, %d CONNECTs", marks, d.connects.Load())
	}
}
