package abuse

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	socketio "rollcall/e2e/client"
	"rollcall/e2e/program"
)

// What all clients together can make the server hold, whatever each may.

// A megabyte of separators, or of packets of no length, costs its own size.
func TestBodiesOfSeparators(t *testing.T) {
	s := serve(t, "LOG_LEVEL=warn")
	bodies := map[int][]string{4: {strings.Repeat("\x1e", 1_000_000)}, 3: {strings.Repeat("0:", 500_000), strings.Repeat("0", 1_000_000)}}
	s.attackAtOnce(t, limits{duration: 2 * time.Second, maxGrowth: 80}, func(i int) {
		protocol := 3 + i%2
		for _, body := range bodies[protocol] {
			s.openPoll(protocol, "").try(body)
		}
	})
	s.countsRefusal("invalid_packet", 1)
}

// Bodies that stop half-way: together they hold no more than the bound, others are
// answered 503 meanwhile, and they are given up after 5 s.
func TestBodiesThatStall(t *testing.T) {
	s := serve(t, "LOG_LEVEL=warn", "MAX_INBOUND=8MiB", "MAX_CONNECTIONS=1000")
	part := strings.Repeat("4", 700_000)
	s.attack(t, limits{duration: time.Second, minCalls: 14, maxGrowth: 60}, func(call int) {
		if call > 20 {
			s.Get("/healthz")
			return
		}
		conn := s.dialTCP()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n", s.openPoll(4, "").path)
		conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
		conn.Write([]byte(part)) // not all of it is taken at the bound
	})
	s.countsRefusal("busy", 1)
	if held := s.metric("rollcall_inbound_bytes"); held > 8*mib {
		t.Errorf("%v bytes are held", held)
	}
	program.Eventually(t, patience, "they are given up", func() bool { return s.metric("rollcall_inbound_bytes") == 0 })
}

// Clients that do not read, and ask for large answers, over WebSocket and over
// polling without a poll: together they hold no more than the bound, and those
// with the longest queues go.
func TestQueuesTogether(t *testing.T) {
	s := serve(t, "MAX_QUEUES=16MiB", "EVENTS_PER_SECOND=0", "LOG_LEVEL=warn")
	packet := "40/" + strings.Repeat("x", 60_000) + "," // is answered with its name
	unit, body := frames(packet, 1), strings.Repeat(packet+"\x1e", 10)+"3"
	var conns [20]*websocket.Conn
	var polls [20]*poll
	var lost, largest atomic.Int64
	s.attack(t, limits{duration: 3 * time.Second, minCalls: 4, maxGrowth: 80}, func(int) {
		atOnce(len(conns), func(i int) {
			if polls[i] == nil {
				polls[i] = s.openPoll(4, "")
			}
			if got, err := polls[i].try(body); err == nil && got.Status != 200 {
				polls[i] = nil
				lost.Add(1)
			}
			if conns[i] == nil {
				conn, err := s.connect("presence=none", "")
				if err != nil {
					return
				}
				conn.NetConn().(*net.TCPConn).SetReadBuffer(4096)
				conns[i] = conn
			}
			conns[i].NetConn().SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := conns[i].NetConn().Write(unit); err != nil {
				conns[i].Close()
				conns[i] = nil
				lost.Add(1)
			}
		})
		largest.Store(max(largest.Load(), int64(s.metric("rollcall_queue_bytes"))))
	})
	for _, conn := range conns {
		if conn != nil {
			conn.Close()
		}
	}
	t.Logf("%d connections were lost, %d MiB waited at most", lost.Load(), largest.Load()/mib)
	if largest.Load() > 17*mib {
		t.Error("that is over the bound")
	}
	s.counts("rollcall_slow_disconnects_total", 1)
}

// Candidates of upgrades that are probed without end: each is ended at its second
// probe.
func TestFloodsOfProbes(t *testing.T) {
	s := serve(t, "LOG_LEVEL=warn")
	flood := frames("2probe", 5000)
	s.attackAtOnce(t, limits{duration: 2 * time.Second, maxGrowth: 80}, func(int) {
		sid := s.openPoll(4, "").sid
		conn, _, err := socketio.Dialer.Dial(socketio.Endpoint(s.URL(""), "websocket", 4, "sid="+sid), nil)
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := pour(conn, flood); err != nil {
			t.Error(err)
		}
	})
}

// Polling handshakes over a few TCP connections take every place, and lose it to
// clients that connect afterwards.
func TestAllPlacesTaken(t *testing.T) {
	s := serve(t, "MAX_CONNECTIONS=200", "LOG_LEVEL=warn")
	s.attackAtOnce(t, limits{duration: 2 * time.Second, maxGrowth: 60}, func(int) {
		for range 25 {
			s.Try("GET", pollingPath, "")
		}
	})
	if n := s.metric("rollcall_connections"); n < 150 {
		t.Errorf("only %v places were taken", n)
	}
	for range 50 {
		s.client(t, "presence=none").expect(t, "", "heartbeat", "")
	}
	s.countsRefusal("displaced", 1)
}

// TCP connections that carry nothing, and half a request.
func TestIdleConnections(t *testing.T) {
	s := serve(t, "MAX_IDLE_CONNECTIONS=100", "LOG_LEVEL=warn")
	s.attack(t, limits{duration: 2 * time.Second, minCalls: 300, maxGrowth: 30}, func(call int) {
		if call > 500 {
			s.Get("/healthz")
			return
		}
		conn := s.dialTCP()
		conn.Write([]byte([]string{"", "GET / HTTP/1.1\r\nHo", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"}[call%3]))
	})
	s.countsRefusal("idle_connection", 100)
	if n := s.metric("process_open_fds"); n > 100+observers+50 {
		t.Errorf("%v files are open", n)
	}
}

// A message of just MAX_MESSAGE is taken, a larger one ends its connection.
func TestMessageTooLarge(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.client(t, "")
	for _, size := range []int{64 << 10, 64<<10 + 1} {
		c.Send(`42["unknown","` + strings.Repeat("x", size-len(`42["unknown",""]`)) + `"]`)
	}
	if err := c.waitEnd(t); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) || c.received("rollcall_error") != 2 {
		t.Errorf("%v after %d errors, want two and a close frame that says so", err, c.received("rollcall_error"))
	}
	s.countsRefusal("message_too_large", 1)
}

// Forty anonymous connections fill room after room, more than all histories may
// take. The history of a room that they were never in stays, though it was made
// at the same address and nobody uses it meanwhile.
func TestHistoryIsNotPushedOut(t *testing.T) {
	t.Parallel()
	s := serve(t, "EVENTS_PER_SECOND=0")
	calm := s.client(t, "presence=none")
	calm.expect(t, "", "join", `{"room":"calm","username":"ann"}`)
	for n := range 50 {
		calm.expect(t, "", "message", fmt.Sprintf(`{"room":"calm","content":"message %d","nonce":"%d"}`, n, n))
	}
	kept := func(room string) int {
		var all []any
		if err := json.Unmarshal([]byte(s.Get("/api/rooms/"+room+"/messages").Body), &all); err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := s.metric(resident)
	content := strings.Repeat("漢", 4000) // 12,000 bytes
	var talking sync.WaitGroup
	for k := range 40 {
		c := s.client(t, "presence=none")
		talking.Go(func() {
			for n := range 200 { // 96 MB in all
				room := fmt.Sprintf("loud-%d-%d", k, n/50)
				if n%50 == 0 {
					c.expect(t, "", "join", fmt.Sprintf(`{"room":%q}`, room))
				}
				c.expect(t, "", "message", fmt.Sprintf(`{"room":%q,"content":%q}`, room, content))
			}
		})
	}
	talking.Wait()
	if n := kept("calm"); n != 50 {
		t.Errorf("of the calm room %d messages are kept, want 50", n)
	}
	if n, m := kept("loud-0-0"), kept("loud-0-3"); n != 0 || m != 50 {
		t.Errorf("of the oldest and the latest room of one of them %d and %d messages are kept, want none and 50", n, m)
	}
	calm.expect(t, "", "message", `{"room":"calm","content":"and on","nonce":"49"}`) // sent again
	calm.expect(t, "", "message", `{"room":"calm","content":"and on"}`)
	if n := kept("calm"); n != 51 {
		t.Errorf("of the calm room %d messages are kept, want 51", n)
	}
	after := s.metric(resident)
	t.Logf("resident %.0f MiB before, %.0f MiB after", before/mib, after/mib)
	if after > before+250*mib {
		t.Errorf("the server has %.0f MiB", after/mib)
	}
}
