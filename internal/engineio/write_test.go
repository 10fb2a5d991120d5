package engineio

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// numbered is an event of some size with a number in it.
func numbered(n, size int) []byte {
	return AppendText(nil, fmt.Appendf(nil, `42["tick",%d,"%s"]`, n, strings.Repeat("x", size)))
}

// number reads the next such event.
func number(c *client) (n int, err error) {
	got, err := c.Next()
	if err == nil {
		_, err = fmt.Sscanf(got, `42["tick",%d,`, &n)
	}
	return n, err
}

// What a socket does not take at once comes later, whole and in order, whatever
// is sent meanwhile: its buffers are filled before it reads.
func TestWriteOfMoreThanASocketTakes(t *testing.T) {
	d, base := start(t, Options{MaxQueue: 64 << 20})
	c := mustJoin(t, base, 4, "")
	const meanwhile = 300
	conns, pushes := d.conns(), 0
	for queued := 0; queued < 4<<20; queued, _ = d.srv.Queued() {
		var sending sync.WaitGroup
		sending.Go(func() {
			for n := range meanwhile {
				conns[0].Send(numbered(1000+n, 1))
			}
		})
		d.fanout(numbered(pushes, 1<<20), conns)
		sending.Wait()
		pushes++
	}
	next, small := 0, 0
	for range pushes * (1 + meanwhile) {
		n, err := number(c)
		switch {
		case err == nil && n == next:
			next++
		case err == nil && n == 1000+small%meanwhile:
			small++
		default:
			t.Fatalf("event %d after %d and %d: %v", n, next, small, err)
		}
	}
	eventually(t, "the queue is empty", func() bool { all, _ := d.srv.Queued(); return all == 0 })
}

// What is sent during a write leaves too: nobody else would take it along.
func TestSendDuringWrite(t *testing.T) {
	d, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	frames := numbered(1, 64<<10)
	for round := range 500 {
		var writing sync.WaitGroup
		writing.Go(func() { d.fanout(frames, d.conns()) })
		time.Sleep(time.Duration(round%50) * time.Microsecond) // somewhere within it
		d.conns()[0].Send(numbered(2, 1))
		sum := 0
		for range 2 {
			n, err := number(c)
			if sum += n; err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if writing.Wait(); sum != 3 {
			t.Fatalf("round %d: %d", round, sum)
		}
	}
}

// A client that is closed during a write gets it whole, and then the close frame.
func TestCloseDuringWrite(t *testing.T) {
	d, base := start(t, Options{CloseTimeout: patience})
	frames := numbered(1, 256<<10)
	for round := range 100 {
		c := mustJoin(t, base, 4, "")
		conns := d.conns()
		var writing sync.WaitGroup
		writing.Go(func() { d.fanout(frames, conns) })
		time.Sleep(time.Duration(round%50) * 4 * time.Microsecond)
		conns[0].Close(true)
		_, err := number(c)
		if err == nil {
			_, err = c.Next()
		}
		if !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
			t.Fatalf("round %d: %v", round, err)
		}
		writing.Wait()
		eventually(t, "it is gone", func() bool { return len(d.conns()) == 0 })
	}
}

// Emitted in one go, events arrive complete and in order, whatever the
// transport.
func TestBurst(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{})
		c, p := mustJoin(t, base, protocol, ""), mustPoll(t, base, protocol, "")
		c.Send(`42["burst",1000]`)
		if _, err := p.Post(`42["burst",1000]`); err != nil {
			t.Fatal(err)
		}
		ticks(t, c, 1000)
		ticks(t, p, 1000)
	}
}

// A client upgrades in the middle of a stream: it polls in one goroutine,
// probes and upgrades as the official clients do, and must get every tick once.
func TestBurstWhileUpgrading(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for round := range 20 {
			d, base := start(t, Options{})
			p := mustPoll(t, base, protocol, "")
			conn := d.conns()[0]
			const n = 1000
			var sending sync.WaitGroup
			sending.Go(func() {
				for i := range n {
					conn.Send(frameOf(fmt.Sprintf(`42["tick",%d]`, i)))
				}
			})
			if got, err := upgradeWhileReading(p, n); err != nil {
				t.Fatalf("protocol %d, round %d, after %d ticks: %v", protocol, round, got, err)
			}
			sending.Wait()
		}
	}
}

// upgradeWhileReading reads n ticks, first by polling, then by WebSocket.
func upgradeWhileReading(p *poller, n int) (got int, err error) {
	expect := func(packet string, err error) error {
		if want := fmt.Sprintf(`42["tick",%d]`, got); err != nil || packet != want {
			return fmt.Errorf("got %.80q, %v", packet, err)
		}
		got++
		return nil
	}
	c, err := p.Candidate("2probe")
	if err != nil {
		return 0, err
	}
	defer c.Conn.Close()
	probed := make(chan error, 1)
	go func() {
		pong, err := c.Next()
		if err == nil && pong != "3probe" {
			err = fmt.Errorf("probe answered %q", pong)
		}
		probed <- err
	}()
	for paused := false; !paused; {
		select {
		case err := <-probed:
			if err != nil {
				return got, err
			}
			paused = true
		default:
		}
		// The poll under way when the probe is answered is read to its end.
		packets, err := p.Fetch("")
		if err != nil {
			return got, err
		}
		for _, packet := range packets {
			if packet != "6" {
				if err := expect(packet, nil); err != nil {
					return got, err
				}
			}
		}
	}
	if err := c.Send("5"); err != nil {
		return got, err
	}
	for got < n {
		if err := expect(c.Next()); err != nil {
			return got, err
		}
	}
	return got, nil
}

// Upgrades that go wrong leave polling as it was. A candidate is probed once: another
// packet, or a second probe, ends it without an answer.
func TestBrokenUpgrades(t *testing.T) {
	for _, frames := range [][]string{
		nil, {"2probe"}, // and nothing more: the client closes it
		{"hello"}, {""}, {`42["mark",1]`}, {"2probe", "2probe"}, {"2probe", "2"}, {"2probe", "3"}, {"2probe", "6"},
		{"2probe", ""}, {"2probe", `42["mark",1]`}, {"2probe", "\x05"}, {"2probe", strings.Repeat("5", 100)},
	} {
		t.Run(fmt.Sprintf("%.20q", frames), func(t *testing.T) {
			d, base := start(t, Options{})
			p := mustPoll(t, base, 4, "")
			c := mustCandidate(t, p, frames...)
			if len(frames) > 0 && frames[0] == "2probe" {
				expect(t, c, "3probe")
			}
			if len(frames) == 0 || len(frames) == 1 && frames[0] == "2probe" {
				c.Conn.Close()
			} else if got, err := c.Next(); err == nil {
				t.Errorf("it is answered %q", got)
			}
			mustAsk(t, p, `["marks"]`) // over polling
			if len(d.conns()) != 1 {
				t.Error("the session is gone")
			}
			l := d.connOf(p.SID)
			await(t, "the candidate is given up", l, func() bool { return l.carrier.candidate == nil })
			// And a proper upgrade still works.
			l.Send(d.ticks(3))
			if _, err := upgradeWhileReading(p, 3); err != nil {
				t.Error(err)
			}
		})
	}
}

// A WebSocket's ping is answered on it, also while polling carries the session: in
// a poll's answer it would be a packet.
func TestPingOfACandidate(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		d, base := start(t, Options{UpgradeTimeout: patience})
		p := mustPoll(t, base, protocol, "")
		c, ponged := mustCandidate(t, p), ""
		c.Conn.SetPongHandler(func(data string) error { ponged = data; return nil })
		c.Conn.WriteMessage(websocket.PingMessage, []byte("41"))
		c.Send("2probe")
		if expect(t, c, "3probe"); ponged != "41" {
			t.Errorf("protocol %d: the ping was answered %q", protocol, ponged)
		}
		d.conns()[0].Send(d.ticks(1))
		expect(t, p, `42["tick",0]`)
		c.Send("5")
		ponged = ""
		c.Conn.WriteMessage(websocket.PingMessage, []byte("again"))
		if mustAsk(t, c, `["marks"]`); ponged != "again" {
			t.Errorf("protocol %d, upgraded: the ping was answered %q", protocol, ponged)
		}
	}
}

func TestOneUpgradeAtATime(t *testing.T) {
	d, base := start(t, Options{UpgradeTimeout: patience})
	p := mustPoll(t, base, 4, "")
	again := func() error { _, err := mustCandidate(t, p).Next(); return err }
	c := mustCandidate(t, p)
	l := d.connOf(p.SID)
	await(t, "the first is the candidate", l, func() bool { return l.carrier.candidate != nil })
	if err := again(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error("while probing:", err)
	}
	c.Send("2probe")
	c.Next()
	c.Send("5")
	mustAsk(t, c, `["marks"]`)
	if err := again(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error("when upgraded:", err)
	}
	if len(d.conns()) != 1 {
		t.Error("the session is gone")
	}
}
