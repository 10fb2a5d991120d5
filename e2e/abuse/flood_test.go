package abuse

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// An attacker that is disconnected connects again at once.

// atOnce runs attackers side by side.
func atOnce(n int, attack func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { attack(i) })
	}
	all.Wait()
}

// pour writes until the server closes the connection, which it has to in time, and
// reports how much it took. Nothing is read.
func pour(conn *websocket.Conn, flood []byte) (bytes int, err error) {
	out := conn.NetConn()
	out.(*net.TCPConn).SetWriteBuffer(64 << 10) // what the attacker buffers is not counted
	out.SetWriteDeadline(time.Now().Add(patience))
	for {
		n, err := out.Write(flood)
		bytes += n
		switch {
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
			return bytes, nil
		case err != nil:
			return bytes, fmt.Errorf("a flood is not ended: %w", err)
		}
	}
}

// attackAtOnce is attack with attackers side by side.
func (s *server) attackAtOnce(t *testing.T, l limits, attack func(i int)) {
	t.Helper()
	s.attack(t, l, func(int) { atOnce(attackers, attack) })
}

// attackers is how many run side by side: more than enough for the cores.
const attackers = 8

// flood has attackers send the same bytes over and over, after the first ones. The
// server has to end each session as a violation.
func flood(t *testing.T, s *server, first string, bytes []byte) {
	t.Helper()
	const violations = `rollcall_refusals_total{reason="invalid_packet"}`
	var sent, attacks atomic.Int64
	before := s.metric(violations)
	s.attackAtOnce(t, limits{duration: 2 * time.Second, maxGrowth: 60}, func(int) {
		conn, err := s.connect("presence=none", "")
		if err != nil {
			t.Errorf("an attacker cannot connect again: %v", err)
			return
		}
		defer conn.Close()
		conn.NetConn().Write([]byte(first))
		n, err := pour(conn, bytes)
		if err != nil {
			t.Error(err)
		}
		sent.Add(int64(n))
		attacks.Add(1)
	})
	t.Logf("%d bytes were sent in %d attacks", sent.Load(), attacks.Load())
	s.counts(violations, before+float64(attacks.Load()))
	s.counts("rollcall_connections", observers)
}

// What the measure shows when nobody attacks: less than this is noise.
func TestNobodyAttacks(t *testing.T) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	serve(t).attack(t, limits{duration: 2 * time.Second, maxGrowth: 60}, func(int) { <-tick.C })
}

func TestFloods(t *testing.T) {
	const deep = (64<<10 - 100) / 2
	nested := func(before, after string, n int) string {
		return before + strings.Repeat("[", n) + strings.Repeat("]", n) + after
	}
	s := serve(t, "LOG_LEVEL=warn")
	for name, packet := range map[string]string{
		"events":             `42["heartbeat"]`,
		"acknowledgements":   "431[]",
		"foreign namespaces": "40/admin,",
		"64 KiB of arrays":   nested(`42["register",`, `]`, deep), // deeper than any parser should go
		"a nested user":      nested(`42["register",{"id":"deep","a":`, `}]`, 2000),
		"a nested CONNECT":   nested(`40{"token":`, `}`, deep),
		"keys":               `42["register",{` + strings.Repeat(`"":0,`, deep/3) + `"":0}]`,
	} {
		t.Run(name, func(t *testing.T) { flood(t, s, "", frames(packet, max(1, 64<<10/len(packet)))) })
	}
	s.countsRefusal("rate_limited", 41)
	// Frames that are no message count against the rate. Pings are answered: the
	// answers to a client that does not read them must not pile up.
	for name, c := range map[string]struct{ first, frame string }{
		"pings":           {"", "\x89\x80\x00\x00\x00\x00"},
		"pongs":           {"", "\x8a\x80\x00\x00\x00\x00"},
		"empty fragments": {"\x01\x81\x00\x00\x00\x004", "\x00\x80\x00\x00\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) { flood(t, s, c.first, []byte(strings.Repeat(c.frame, 10_000))) })
	}
}

// One socket without a rate limit sends 100,000 events a second. It is read as fast
// as any other; what is beyond that waits.
func TestHundredThousandEventsOfOneSocket(t *testing.T) {
	s := serve(t, "EVENTS_PER_SECOND=0")
	conn := s.connectMany(t, 1)[0]
	const heartbeats, slice = `rollcall_events_in_total{event="heartbeat"}`, 50 * time.Millisecond
	flood := frames(`42["heartbeat"]`, int(100_000*slice/time.Second))
	tick := time.NewTicker(slice)
	defer tick.Stop()
	before := s.metric(heartbeats)
	var began time.Time
	var took time.Duration
	s.attack(t, limits{duration: 2 * time.Second, maxGrowth: 60}, func(call int) {
		if call == 0 {
			began = time.Now()
		}
		if _, err := conn.NetConn().Write(flood); err != nil {
			t.Fatal(err)
		}
		<-tick.C
		took = time.Since(began)
	})
	taken := s.metric(heartbeats) - before
	t.Logf("%.0f events taken, %.0f a second", taken, (taken-observers*took.Seconds()/observerInterval.Seconds())/took.Seconds())
}

// Sessions that are opened and never used, over and over.
func TestEndlessHandshakes(t *testing.T) {
	const most = 5000 // sessions that were opened only
	s := serve(t, "LOG_LEVEL=warn")
	var made atomic.Int64
	handshakes := func(int) {
		for range 25 {
			if got, err := s.Try("GET", pollingPath, ""); err != nil || got.Status != 200 {
				t.Errorf("a handshake: %d %v", got.Status, err)
				return
			}
			made.Add(1)
		}
	}
	s.attackAtOnce(t, limits{duration: 2 * time.Second, maxGrowth: 200}, handshakes)
	for made.Load() <= most && !t.Failed() {
		atOnce(most/25, handshakes)
	}
	t.Logf("%d sessions were made", made.Load())
	s.countsRefusal("unclaimed", float64(made.Load()-most))
	if n := s.metric("rollcall_connections"); n > most+observers {
		t.Errorf("%v connections", n)
	}
	// With a limit they are refused before anything is made.
	s = serve(t, "MAX_CONNECTIONS_PER_ADDRESS=50")
	s.attack(t, limits{duration: time.Second, minCalls: 2, maxGrowth: 30}, func(int) {
		for range 50 {
			if _, err := s.Try("GET", pollingPath, ""); err != nil {
				t.Error(err)
			}
		}
	})
	if n := s.metric("rollcall_connections"); n > 50 {
		t.Errorf("%v connections", n)
	}
	s.countsRefusal("too_many_connections", 1)
}

// A query may be as long as a request's headers, and its characters three times as
// long when they are encoded. A connection keeps nothing of it that is not read.
func TestLongQueries(t *testing.T) {
	const connections = 1500
	s := serve(t, "LOG_LEVEL=warn")
	query := "x=" + strings.Repeat(`"`, 15_000)
	s.attackAtOnce(t, limits{minCalls: 1, maxGrowth: 45}, func(int) {
		for range connections / attackers {
			conn, err := s.connect(query, "")
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	})
}

// mostNames ends a flood of names: what it leaves behind for a while grows with the
// speed of the machine, and the bound on the memory is for all machines.
const mostNames = 500_000

// distinct sends events that are all different, for the time of an attack, from
// sockets without a rate limit.
func distinct(t *testing.T, s *server, grows float64, packets func(socket, n int) string) {
	t.Helper()
	const sockets, batch = 4, 250
	conns := s.connectMany(t, sockets)
	for _, conn := range conns {
		go func() { // reads, or it would be disconnected as too slow
			for {
				if _, _, err := conn.NextReader(); err != nil {
					return
				}
			}
		}()
	}
	total := 0
	s.attack(t, limits{duration: 2 * time.Second, maxGrowth: grows}, func(call int) {
		if total >= mostNames {
			s.Get("/healthz")
			return
		}
		atOnce(sockets, func(i int) {
			var flood []byte
			for n := range batch {
				flood = append(flood, frames(packets(i, call*batch+n), 1)...)
			}
			conns[i].NetConn().SetWriteDeadline(time.Now().Add(patience))
			if _, err := conns[i].NetConn().Write(flood); err != nil {
				t.Errorf("sending different names: %v", err)
			}
		})
		total += sockets * batch
	})
	t.Logf("%d different names", total)
}

func TestManyDistinctNames(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		name    string
		grows   float64
		packets func(socket, n int) string
	}{
		{"users", 150, func(i, n int) string { return fmt.Sprintf(`42["register",{"id":"u%d-%d"}]`, i, n) }},
		{"rooms with a message each", 150, func(i, n int) string {
			return fmt.Sprintf(`42[%q,{"room":"r%d-%d-%s","content":"hello"}]`, [...]string{"join", "message", "leave"}[n%3], i, n/3, long)
		}},
		{"stages and races", 150, func(i, n int) string {
			name := [...]string{"join_stage", "add_car", "watch_race"}[n%3]
			return fmt.Sprintf(`42[%q,{"token":"s%d-%d","race_id":"r%d-%d","id":%d}]`, name, i, n, i, n, i)
		}},
		{"events", 60, func(i, n int) string { return fmt.Sprintf(`42["e%d-%d",0]`, i, n) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "EVENTS_PER_SECOND=0")
			distinct(t, s, c.grows, c.packets)
			if c.name == "events" {
				if got := s.Get("/metrics").Body; strings.Contains(got, "e0-0") || len(got) > 64<<10 {
					t.Errorf("clients make series of their own: %d bytes of metrics", len(got))
				}
				s.countsRefusal("unknown_event", 1000)
			}
		})
	}
}
