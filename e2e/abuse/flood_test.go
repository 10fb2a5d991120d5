package abuse

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/e2e/program"
)

// What comes in floods. The server has its defaults; an attacker who is thrown
// out comes back at once.

// at once runs attackers side by side.
func atOnce(n int, attack func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { attack(i) })
	}
	all.Wait()
}

// pour writes as much as the server takes, and reports whether it hung up.
// Nothing is read: floods do not listen.
func pour(conn *websocket.Conn, flood []byte, limit time.Duration) (bytes int, thrownOut bool) {
	out := conn.NetConn()
	out.SetWriteDeadline(time.Now().Add(limit))
	for {
		n, err := out.Write(flood)
		bytes += n
		if err != nil {
			return bytes, errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
		}
	}
}

// floods is one attacker who sends the same packet as fast as can be, and comes
// back with a new connection. The server has to end each session as a violation.
func floods(t *testing.T, s *server, packet string) {
	t.Helper()
	const violations = `rollcall_refusals_total{reason="invalid_packet"}`
	flood := frames(packet, max(1, 64<<10/len(packet)))
	sent, attacks, before := 0, 0, s.metric(violations)
	s.endures(t, toll{lasts: time.Second, grows: 60}, func(int) {
		conn, err := s.enter("presence=none", "", nil)
		if err != nil {
			t.Errorf("the attacker cannot come back: %v", err)
			return
		}
		defer conn.Close()
		n, _ := pour(conn, flood, 500*time.Millisecond)
		sent += n / len(frames(packet, 1))
		attacks++
	})
	t.Logf("%d packets were offered in %d attacks", sent, attacks)
	s.counts(violations, before+float64(attacks))
	s.counts("rollcall_connections", manyWitness)
}

func TestFloodOfEvents(t *testing.T) {
	s := serve(t)
	floods(t, s, `42["heartbeat"]`)
	s.countsRefusal("rate_limited", 41)
	// Who does not take being thrown out is cut off.
	conn, err := s.enter("presence=none", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	n, thrownOut := pour(conn, frames(`42["heartbeat"]`, 1000), patience)
	t.Logf("cut off after %s and %d MiB", time.Since(began).Round(time.Millisecond), n/mib)
	if !thrownOut {
		t.Error("a flood goes on for ever")
	}
}

// One socket that may send what it likes: 100,000 events a second are the
// machine's business, not that of the others.
func TestHundredThousandEventsOfOneSocket(t *testing.T) {
	s := serve(t, "EVENTS_PER_SECOND=0")
	conn, err := s.enter("presence=none", "", nil)
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
	s.endures(t, toll{lasts: 2 * time.Second, grows: 60}, func(call int) {
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
	t.Logf("%.0f events taken, %.0f a second", taken, (taken-manyWitness*took.Seconds()/aWitnessAsks.Seconds())/took.Seconds())
}

func TestFloodsOfOtherPackets(t *testing.T) {
	s := serve(t)
	for name, packet := range map[string]string{
		"acknowledgements":   "431[]",
		"foreign namespaces": "40/admin,",
	} {
		t.Run(name, func(t *testing.T) { floods(t, s, packet) })
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
		t.Run(name, func(t *testing.T) { floods(t, s, packet) })
	}
}

// What a flood leaves behind for a while grows with the machine that floods. So
// that one bound of the memory holds for all, it ends at a number.
const (
	mostSessions = 10_000
	mostNames    = 500_000
)

// Sessions that are opened and never used, over and over.
func TestEndlessHandshakes(t *testing.T) {
	s := serve(t, "PING_INTERVAL=1s", "PING_TIMEOUT=1s", "LOG_LEVEL=warn")
	var made atomic.Int64
	s.endures(t, toll{lasts: 2 * time.Second, grows: 250}, func(int) {
		if made.Load() >= mostSessions {
			s.ask("GET", "/healthz", "")
			return
		}
		atOnce(8, func(int) {
			for range 25 {
				if got, err := s.try("GET", "/socket.io/?EIO=4&transport=polling", ""); err != nil || got.status != 200 {
					t.Errorf("a handshake: %d %v", got.status, err)
					return
				}
				made.Add(1)
			}
		})
	})
	t.Logf("%d sessions were made", made.Load())
	program.Eventually(t, patience, "unused sessions end", func() bool { return s.metric("rollcall_connections") <= manyWitness })
	// With a limit they are refused before anything is made.
	s = serve(t, "MAX_CONNECTIONS_PER_ADDRESS=20")
	s.endures(t, toll{lasts: time.Second, grows: 30}, func(int) {
		for range 50 {
			if _, err := s.try("GET", "/socket.io/?EIO=4&transport=polling", ""); err != nil {
				t.Error(err)
			}
		}
	})
	if n := s.metric("rollcall_connections"); n > 20 {
		t.Errorf("%v connections", n)
	}
	s.countsRefusal("too_many_connections", 1)
}

// distinct sends events that are all different, for the time of an abuse, from
// sockets that may send what they like, and returns how many.
func distinct(t *testing.T, s *server, grows float64, packets func(socket, n int) string) (total int64) {
	t.Helper()
	const sockets, batch = 4, 250
	var conns []*websocket.Conn
	for range sockets {
		conn, err := s.enter("presence=none", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() { // takes what comes, or it would be cut off
			for {
				if _, _, err := conn.NextReader(); err != nil {
					return
				}
			}
		}()
		conn.SetReadDeadline(time.Time{})
		conns = append(conns, conn)
	}
	s.endures(t, toll{lasts: 2 * time.Second, grows: grows}, func(call int) {
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

// WebSocket's own pings are answered, each: who does not read the answers must
// not pile them up, and who does must not stand in the others' way.
func TestFloodOfWebSocketPings(t *testing.T) {
	s := serve(t)
	flood := bytes.Repeat([]byte{0x89, 0x80, 0, 0, 0, 0}, 10_000)
	var sent atomic.Int64
	s.endures(t, toll{lasts: 1500 * time.Millisecond, grows: 150}, func(int) {
		conn, err := s.enter("presence=none", "", nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		n, _ := pour(conn, flood, 1500*time.Millisecond)
		sent.Add(int64(n / 6))
	})
	t.Logf("%d pings were offered", sent.Load())
	s.counts(`rollcall_refusals_total{reason="invalid_packet"}`, 1)
}
