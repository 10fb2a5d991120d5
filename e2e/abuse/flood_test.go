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

// What comes in floods. The server has its defaults; an attacker who is thrown
// out comes back at once.

// atOnce runs attackers side by side.
func atOnce(n int, attack func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { attack(i) })
	}
	all.Wait()
}

// pour writes as much as the server takes, and reports how much that was until
// the server hung up, which it has to within a time. Nothing is read: floods do
// not listen.
func pour(conn *websocket.Conn, flood []byte) (bytes int, err error) {
	out := conn.NetConn()
	out.(*net.TCPConn).SetWriteBuffer(64 << 10) // what lies with the attacker is not the server's
	out.SetWriteDeadline(time.Now().Add(patience))
	for {
		n, err := out.Write(flood)
		bytes += n
		switch {
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
			return bytes, nil
		case err != nil:
			return bytes, fmt.Errorf("a flood goes on for ever: %w", err)
		}
	}
}

// attackers is how many attackers there are, about as many as would fill this
// machine's cores if they were let.
const attackers = 8

// flood has attackers send the same packet as fast as can be; see floodBytes.
func flood(t *testing.T, s *server, packet string) {
	t.Helper()
	floodBytes(t, s, "", frames(packet, max(1, 64<<10/len(packet))))
}

// floodBytes has attackers send the same bytes over and over, after the first
// ones. Each connects again when it is cut off. The server has to end each session
// as a violation.
func floodBytes(t *testing.T, s *server, first string, bytes []byte) {
	t.Helper()
	const violations = `rollcall_refusals_total{reason="invalid_packet"}`
	var sent, attacks atomic.Int64
	before := s.metric(violations)
	s.attack(t, limits{duration: 2 * time.Second, maxGrowth: 60}, func(int) {
		atOnce(attackers, func(int) {
			conn, err := s.connect("presence=none", "", nil)
			if err != nil {
				t.Errorf("an attacker cannot come back: %v", err)
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

func TestFloodOfEvents(t *testing.T) {
	s := serve(t)
	flood(t, s, `42["heartbeat"]`)
	s.countsRefusal("rate_limited", 41)
}

// One socket that may send what it likes, and does. It is read as fast as any,
// what is beyond that waits.
func TestHundredThousandEventsOfOneSocket(t *testing.T) {
	s := serve(t, "EVENTS_PER_SECOND=0")
	conn, err := s.connect("presence=none", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
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

func TestFloodsOfOtherPackets(t *testing.T) {
	s := serve(t)
	for name, packet := range map[string]string{
		"acknowledgements":   "431[]",
		"foreign namespaces": "40/admin,",
	} {
		t.Run(name, func(t *testing.T) { flood(t, s, packet) })
	}
}

func TestNestedJSON(t *testing.T) {
	deep := (64<<10 - 100) / 2
	nest := func(before, after string, n int) string {
		return before + strings.Repeat("[", n) + strings.Repeat("]", n) + after
	}
	s := serve(t)
	for name, packet := range map[string]string{
		"64 KiB of arrays": nest(`42["register",`, `]`, deep), // deeper than any parser should go
		"a user":           nest(`42["register",{"id":"deep","a":`, `}]`, 2000),
		"CONNECT":          nest(`40{"token":`, `}`, deep),
		"keys":             `42["register",{` + strings.Repeat(`"":0,`, deep/3) + `"":0}]`,
	} {
		t.Run(name, func(t *testing.T) { flood(t, s, packet) })
	}
}

// Sessions that are opened and never used, over and over.
func TestEndlessHandshakes(t *testing.T) {
	const most = 5000 // sessions that were opened only
	s := serve(t, "LOG_LEVEL=warn")
	var made atomic.Int64
	handshakes := func(attackers int) {
		atOnce(attackers, func(int) {
			for range 25 {
				if got, err := s.try("GET", "/socket.io/?EIO=4&transport=polling", ""); err != nil || got.status != 200 {
					t.Errorf("a handshake: %d %v", got.status, err)
					return
				}
				made.Add(1)
			}
		})
	}
	s.attack(t, limits{duration: 2 * time.Second, maxGrowth: 200}, func(int) { handshakes(attackers) })
	for made.Load() <= most && !t.Failed() {
		handshakes(most / 25)
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
			if _, err := s.try("GET", "/socket.io/?EIO=4&transport=polling", ""); err != nil {
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
	s.attack(t, limits{minCalls: 1, maxGrowth: 45}, func(int) {
		atOnce(10, func(int) {
			for range connections / 10 {
				conn, err := s.connect(query, "", nil)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { conn.Close() })
			}
		})
	})
}

// mostNames is where a flood of names ends: what it leaves behind for a while
// grows with the machine that floods, and the bound of the memory is for all.
const mostNames = 500_000

// distinct sends events that are all different, for the time of an attack, from
// sockets that may send what they like, and returns how many.
func distinct(t *testing.T, s *server, grows float64, packets func(socket, n int) string) (total int64) {
	t.Helper()
	const sockets, batch = 4, 250
	conns := s.connectMany(t, sockets)
	for _, conn := range conns {
		go func() { // takes what comes, or it would be cut off
			for {
				if _, _, err := conn.NextReader(); err != nil {
					return
				}
			}
		}()
	}
	s.attack(t, limits{duration: 2 * time.Second, maxGrowth: grows}, func(call int) {
		if total >= mostNames {
			s.ask("GET", "/healthz", "")
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
	return total
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
				if got := s.ask("GET", "/metrics", "").body; strings.Contains(got, "e0-0") || len(got) > 64<<10 {
					t.Errorf("clients make series of their own: %d bytes of metrics", len(got))
				}
				s.countsRefusal("unknown_event", 1000)
			}
		})
	}
}

// The same within the rate: many sockets, each as fast as it may be.
func TestManyDistinctNamesWithinTheRate(t *testing.T) {
	const sockets, pause = 100, 55 * time.Millisecond
	s := serve(t)
	conns := s.connectMany(t, sockets)
	packets := []string{
		`["register",{"id":"u%[1]d-%[2]d"}]`, `["join",{"room":"r%[1]d-%[2]d"}]`, `["message",{"room":"r%[1]d-%[2]d","content":"hello"}]`,
		`["leave",{"room":"r%[1]d-%[2]d"}]`, `["join_stage",{"token":"s%[1]d-%[2]d","id":%[1]d}]`, `["e%[1]d-%[2]d",0]`,
	}
	tick := time.NewTicker(pause / sockets)
	defer tick.Stop()
	names := 0
	s.attack(t, limits{duration: 2 * time.Second, minCalls: 12, maxGrowth: 60}, func(call int) {
		for i, conn := range conns { // one after the other: they are not one client
			<-tick.C
			packet := "42" + fmt.Sprintf(packets[call%len(packets)], i, call/len(packets))
			if err := conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
				t.Errorf("within the rate: %v", err)
			}
			names++
		}
	})
	t.Logf("%d events", names)
	if n := s.metric(`rollcall_refusals_total{reason="rate_limited"}`); n != 0 {
		t.Errorf("%v were over the rate", n)
	}
}
