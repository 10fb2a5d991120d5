package socketio

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	testclient "rollcall/e2e/client"
	"rollcall/internal/engineio"
)

// Connections opened and closed in every way leave nothing behind.
func TestNothingIsLeftBehind(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 400
	}
	const shortest = 300 * time.Millisecond // of the server's timeouts
	d, base := start(t, Options{Options: engineio.Options{
		PingInterval: 500 * time.Millisecond, PingTimeout: time.Second,
		UpgradeTimeout: shortest, CloseTimeout: shortest,
	}})
	before := runtime.NumGoroutine()
	either := func() int { return 3 + rand.IntN(2) }
	// Each makes a session, over WebSocket or over polling, and ends it.
	over := func(protocol func() int, end func(*testclient.Conn) error) func() error {
		return func() error {
			c, err := join(base, protocol(), "")
			if err != nil {
				return err
			}
			return errors.Join(end(c), c.Conn.Close())
		}
	}
	overPolling := func(end func(*poller) error) func() error {
		return func() error {
			p, err := pollJoin(base, 4, "")
			if err != nil {
				return err
			}
			return end(p)
		}
	}
	four := func() int { return 4 }
	ways := []func() error{
		over(either, func(c *testclient.Conn) error { // an orderly close
			c.Conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
			for { // a ping that crosses it is not answered any more
				if _, _, err := c.Conn.ReadMessage(); websocket.IsCloseError(err, 1000) {
					return nil
				} else if err != nil {
					return fmt.Errorf("the close was answered with %w", err)
				}
			}
		}),
		over(four, func(*testclient.Conn) error { return nil }), // terminated
		over(four, func(c *testclient.Conn) error { // reset, with data under way
			c.Send(`42["burst",100]`)
			return c.Conn.NetConn().(*net.TCPConn).SetLinger(0)
		}),
		func() error { // gone before CONNECT
			c, err := dial(base, either(), "", nil)
			if err != nil {
				return err
			}
			c.Send("40")
			return c.Conn.Close()
		},
		func() error { // gone during the handshake
			conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				return err
			}
			fmt.Fprintf(conn, "GET /socket.io/?EIO=%d&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"+
				"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", either())
			return conn.Close()
		},
		over(four, func(c *testclient.Conn) error { // the server closes
			err := c.Send(`42["close"]`)
			for err == nil {
				_, err = c.Next()
			}
			return nil
		}),
		func() error { // half-open: never heard of again, ended by ping timeout
			_, err := join(base, either(), "")
			return err
		},
		func() error { // polling, given up
			_, err := pollJoin(base, either(), "")
			return err
		},
		overPolling(func(p *poller) error { // closed
			_, err := p.Post("41\x1e1")
			return err
		}),
		overPolling(func(p *poller) error { // aborted at every step of the upgrade
			c, err := p.Candidate([]string{"2probe", "5", "2"}[:rand.IntN(4)]...)
			if err != nil {
				return err
			}
			return c.Conn.Close()
		}),
		overPolling(func(p *poller) error { // upgraded while the session is closed
			c, err := p.Candidate("2probe")
			if err != nil {
				return err
			}
			defer c.Conn.Close()
			go c.Send("5")
			p.Request("POST", "", strings.NewReader("nonsense"), "text/plain")
			io.Copy(io.Discard, c.Conn.NetConn())
			return nil
		}),
	}
	var wg sync.WaitGroup
	work := make(chan func() error)
	for range 16 {
		wg.Go(func() {
			for way := range work {
				began := time.Now()
				err := way()
				if err != nil && time.Since(began) < shortest { // else a timeout may have ended it
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- ways[i%len(ways)]
	}
	close(work)
	wg.Wait()
	web.CloseIdleConnections()
	eventually(t, "all sockets have left the domain", func() bool { return len(d.conns()) == 0 })
	eventually(t, "nothing is kept of them", func() bool { return known(d.srv) == 0 })
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before+2 { // the test server's own come and go
		if time.Now().After(deadline) {
			var stacks strings.Builder
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// With a spread the clients are told, and closed one after the other.
func TestStopSpreads(t *testing.T) {
	d, base := start(t, Options{})
	var all []*testclient.Conn
	for range 50 {
		all = append(all, mustJoin(t, base, 4, ""))
	}
	began := time.Now()
	d.srv.Stop(t.Context(), time.Minute) // two milliseconds each
	if took := time.Since(began); took < 50*2*time.Millisecond*9/10 {
		t.Error("all were closed within", took)
	}
	told := map[string]bool{}
	for _, c := range all {
		packet, err := c.Next()
		if err != nil || !strings.HasPrefix(packet, `42["server_closing",{"in":`) {
			t.Errorf("%q, %v", packet, err)
		}
		told[packet] = true
		expectClose(t, c)
	}
	if len(told) != 50 {
		t.Error("they were told", len(told), "times to be closed at")
	}
}
