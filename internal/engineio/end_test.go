package engineio

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// A client that stops reading is disconnected at the limit; others are served
// undisturbed meanwhile and memory stays bounded.
func TestSlowClientIsDisconnected(t *testing.T) {
	const limit = 1 << 20
	d, base := start(t, Options{MaxQueue: limit})
	slow := mustJoin(t, base, 4, "")
	slow.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	quick := mustJoin(t, base, 4, "")
	eventually(t, "both are in", func() bool { return len(d.conns()) == 2 })
	conns := d.conns()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	frames := AppendText(nil, []byte(`42["big","`+strings.Repeat("x", 64<<10)+`"]`))
	peak := 0
	for len(d.conns()) == 2 {
		d.fanout(frames, conns)
		expect(t, quick, `42["big"…`)
		for _, c := range conns {
			l := c.conn
			l.mu.Lock()
			peak = max(peak, l.out.queued)
			l.mu.Unlock()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if peak > limit {
		t.Errorf("%d bytes were queued", peak)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4*limit {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	mustAsk(t, quick, `["marks"]`)
}

// A polling client that never polls is disconnected too.
func TestClientThatDoesNotPollIsDisconnected(t *testing.T) {
	d, base := start(t, Options{MaxQueue: 10_000})
	mustPoll(t, base, 4, "")
	c := d.conns()[0]
	eventually(t, "it is gone", func() bool { c.Send(d.ticks(100)); return len(d.conns()) == 0 })
}

// One list may be larger than the limit; a client that reads gets it.
func TestOneLargeEventPasses(t *testing.T) {
	_, base := start(t, Options{MaxQueue: 10_000})
	c := mustJoin(t, base, 4, "")
	c.Send(`42["big",1000000]`)
	expect(t, c, `42["big","`+strings.Repeat("x", 1_000_000)+`"]`)
}

// Stop ends every session in order and leaves no goroutine.
func TestStop(t *testing.T) {
	d, base := start(t, Options{})
	ws := mustJoin(t, base, 4, "")
	p := mustPoll(t, base, 4, "")
	ended := make(chan string, 1)
	go func() { packet, _ := p.Next(); ended <- packet }()
	l := d.connOf(p.SID)
	await(t, "it polls", l, func() bool { return l.carrier.poll != nil }) // Stop waits for a second only
	q := mustPoll(t, base, 4, "")
	go q.Next()
	l = d.connOf(q.SID)
	await(t, "it polls", l, func() bool { return l.carrier.poll != nil })
	if l.Close(); d.connOf(q.SID) != nil {
		t.Error("the id is known when a waiting poll takes the close along")
	}
	d.srv.Stop(t.Context(), 0, nil)
	if _, err := ws.Next(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error(err)
	}
	if packet := <-ended; packet != "1" {
		t.Errorf("the poll ended with %q", packet)
	}
	if len(d.conns()) != 0 {
		t.Error("sockets are left")
	}
	if _, err := join(base, 4, ""); err == nil {
		t.Error("somebody was let in after Stop")
	}
}

// beating makes a connection over polling without a client, in virtual time.
func beating(t *testing.T, f *fixture, protocol int) *Conn {
	c := f.srv.open(handshake{query: map[string][]string{"EIO": {fmt.Sprint(protocol)}}})
	taken(c)
	return c
}

// taken empties a connection's queue.
func taken(l *Conn) (packets []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.out.queue {
		for _, payload := range payloads(r.frames) {
			packets = append(packets, string(payload))
		}
	}
	l.out.queue, l.out.queued = nil, 0
	return packets
}

func virtual(t *testing.T, play func(t *testing.T, f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second})
		play(t, f)
		f.srv.Stop(t.Context(), 0, nil)
	})
}

// In protocol 4 the server pings, an interval after the last pong; a client that does
// not answer within the timeout is disconnected.
func TestServerPings(t *testing.T) {
	virtual(t, func(t *testing.T, f *fixture) {
		l := beating(t, f, 4)
		for _, after := range []time.Duration{0, time.Second, 19 * time.Second} {
			time.Sleep(24 * time.Second)
			synctest.Wait()
			if got := taken(l); len(got) != 0 {
				t.Errorf("too early: %q", got)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got := taken(l); fmt.Sprint(got) != "[2]" {
				t.Errorf("an interval after the last answer: %q", got)
			}
			time.Sleep(after)
			l.receive(message{data: []byte("3")})
		}
		timesOut(t, f, l)
	})
}

// timesOut waits for the end of a connection that has just been heard of.
func timesOut(t *testing.T, f *fixture, c *Conn) {
	t.Helper()
	heard := time.Now()
	<-c.told
	if silence := time.Since(heard).Round(time.Second); silence != 45*time.Second || f.lastReason() != Timeout {
		t.Errorf("ended for %v after %v", f.lastReason(), silence)
	}
}

func (f *fixture) lastReason() Reason {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reasons[len(f.reasons)-1]
}

// In protocol 3 the client asks, and is gone when it has not for an interval and
// a timeout.
func TestClientPings(t *testing.T) {
	virtual(t, func(t *testing.T, f *fixture) {
		l := beating(t, f, 3)
		for _, ping := range []string{"2", "2probe", "2"} {
			time.Sleep(44 * time.Second)
			l.receive(message{data: []byte(ping)})
			if got := taken(l); fmt.Sprint(got) != "[3]" {
				t.Errorf("%s was answered %q", ping, got)
			}
		}
		timesOut(t, f, l)
	})
}

// A ping in the wrong direction is a fault.
func TestPingsInTheWrongDirection(t *testing.T) {
	virtual(t, func(t *testing.T, f *fixture) {
		for protocol, packet := range map[int]string{3: "3", 4: "2"} {
			l := beating(t, f, protocol)
			if l.receive(message{data: []byte(packet)}) {
				t.Errorf("protocol %d goes on", protocol)
			}
			<-l.told
			if f.lastReason() != Closed {
				t.Errorf("protocol %d ended for %v", protocol, f.lastReason())
			}
		}
	})
}

// Pings go out as the clients came, not all at once.
func TestPingsAreSpread(t *testing.T) {
	virtual(t, func(t *testing.T, f *fixture) {
		var conns []*Conn
		for range 100 {
			conns = append(conns, beating(t, f, 4))
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(20*time.Second + 10*time.Millisecond) // the first came 25 s ago
		most, all := 0, 0
		for range 100 {
			synctest.Wait()
			asked := 0
			for _, l := range conns {
				asked += len(taken(l))
			}
			most = max(most, asked)
			all += asked
			time.Sleep(50 * time.Millisecond)
		}
		if most != 1 || all != 100 {
			t.Errorf("%d were asked within 50 ms, %d of 100 in all", most, all)
		}
	})
}

// When a connection is over its timer rings no more.
func TestTimersEnd(t *testing.T) {
	virtual(t, func(t *testing.T, f *fixture) {
		var conns []*Conn
		for range 10 {
			conns = append(conns, beating(t, f, 3), beating(t, f, 4))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f.srv.Stop(ctx, 0, nil)
		for _, c := range conns {
			if c.timer.Stop() {
				t.Error("a timer runs after Stop")
			}
		}
	})
}

// When its context has ended, Stop spreads nothing any more.
func TestStopSpreadsWithinItsContext(t *testing.T) {
	virtual(t, func(t *testing.T, f *fixture) {
		for range 100 {
			beating(t, f, 4)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		f.srv.Stop(ctx, time.Minute, nil)
		synctest.Wait()
		if took, all := time.Since(began), len(f.srv.conns); took >= 99*stopPause || all > 0 {
			t.Errorf("%d are there after %v", all, took)
		}
	})
}
