package engineio

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// Emitted in one go, events arrive complete and in order, whatever the
// transport.
func TestBurstOverWebSocket(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{})
		c := mustJoin(t, base, protocol, "")
		c.Send(`42["burst",1000]`)
		if err := c.Ticks(1000); err != nil {
			t.Error(err)
		}
	}
}

func TestBurstOverPolling(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		_, base := start(t, Options{})
		p, err := pollJoin(base, protocol, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Post(p.Join(`42["burst",1000]`)); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			got, err := p.Next()
			if want := fmt.Sprintf(`42["tick",%d]`, i); err != nil || got != want {
				t.Fatalf("protocol %d, packet %d: %.80q, %v", protocol, i, got, err)
			}
		}
	}
}

// A client upgrades in the middle of a stream: it polls in one goroutine,
// probes and upgrades as the official clients do, and must get every tick once.
func TestBurstWhileUpgrading(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		for round := range 20 {
			d, base := start(t, Options{})
			p, err := pollJoin(base, protocol, "")
			if err != nil {
				t.Fatal(err)
			}
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
	conn, err := p.Candidate()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	c := &client{Conn: conn}
	if err := c.Send("2probe"); err != nil {
		return 0, err
	}
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
		status, body, err := p.Request("GET", "", nil, "")
		if err != nil || status != 200 {
			return got, fmt.Errorf("poll: %d %q %w", status, body, err)
		}
		for _, packet := range p.Split(body) {
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

// Upgrades that go wrong leave polling as it was.
func TestBrokenUpgrades(t *testing.T) {
	for name, frames := range map[string][]string{
		"nothing said":   nil,
		"probe only":     {"2probe"},
		"probed twice":   {"2probe", "2probe"},
		"nonsense":       {"hello"},
		"empty":          {""},
		"event at once":  {`42["mark",1]`},
		"event later":    {"2probe", `42["mark",1]`},
		"binary upgrade": {"2probe", "\x05"},
	} {
		t.Run(name, func(t *testing.T) {
			d, base := start(t, Options{})
			p, err := pollJoin(base, 4, "")
			if err != nil {
				t.Fatal(err)
			}
			conn, err := p.Candidate()
			if err != nil {
				t.Fatal(err)
			}
			c := &client{Conn: conn}
			for _, frame := range frames {
				c.Send(frame)
			}
			conn.Close()
			if answer, err := p.Ask(1, `["marks"]`); err != nil || !strings.Contains(answer, `"ok":true`) {
				t.Errorf("polling after it: %q, %v", answer, err)
			}
			if len(d.conns()) != 1 {
				t.Error("the session is gone")
			}
			l := d.conns()[0].conn
			eventually(t, "the candidate is given up", func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.carrier.candidate == nil
			})
			// And a proper upgrade still works.
			d.conns()[0].Send(d.ticks(3))
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
		p, err := pollJoin(base, protocol, "")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := p.Candidate()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ponged := ""
		conn.SetPongHandler(func(data string) error { ponged = data; return nil })
		conn.WriteMessage(websocket.PingMessage, []byte("41"))
		c := &client{Conn: conn}
		c.Send("2probe")
		if got, err := c.Next(); err != nil || got != "3probe" || ponged != "41" {
			t.Errorf("protocol %d: %q, %v; the ping was answered %q", protocol, got, err, ponged)
		}
		d.conns()[0].Send(d.ticks(1))
		if got, err := p.Next(); err != nil || got != `42["tick",0]` {
			t.Errorf("protocol %d: the poll's answer is %q, %v", protocol, got, err)
		}
		c.Send("5")
		ponged = ""
		conn.WriteMessage(websocket.PingMessage, []byte("again"))
		if _, err := c.Ask(1, `["marks"]`); err != nil || ponged != "again" {
			t.Errorf("protocol %d, upgraded: %v; the ping was answered %q", protocol, err, ponged)
		}
	}
}

func TestOneUpgradeAtATime(t *testing.T) {
	d, base := start(t, Options{UpgradeTimeout: patience})
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	again := func() error {
		conn, err := p.Candidate()
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = (&client{Conn: conn}).Next()
		return err
	}
	first, err := p.Candidate()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	eventually(t, "the first is the candidate", func() bool {
		l := d.connOf(p.SID)
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.carrier.candidate != nil
	})
	if err := again(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error("while probing:", err)
	}
	c := &client{Conn: first}
	c.Send("2probe")
	c.Next()
	c.Send("5")
	if _, err := c.Ask(1, `["marks"]`); err != nil {
		t.Fatal(err)
	}
	if err := again(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		t.Error("when upgraded:", err)
	}
	if len(d.conns()) != 1 {
		t.Error("the session is gone")
	}
}
