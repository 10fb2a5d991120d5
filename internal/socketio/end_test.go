package socketio

import (
	"context"
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

	"rollcall/internal/engineio"

	"rollcall/internal/engineio/enginetest"
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
	ways := []func() error{
		func() error { // an orderly close
			c, err := join(base, 3+rand.IntN(2), "")
			if err != nil {
				return err
			}
			c.Conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
			for err = nil; err == nil; { // a ping that crosses it is not answered any more
				_, _, err = c.Conn.ReadMessage()
			}
			if !websocket.IsCloseError(err, 1000) {
				return fmt.Errorf("the close was answered with %v", err)
			}
			return c.Conn.Close()
		},
		func() error { // terminated
			c, err := join(base, 4, "")
			if err != nil {
				return err
			}
			return c.Conn.Close()
		},
		func() error { // reset, with data under way
			c, err := join(base, 4, "")
			if err != nil {
				return err
			}
			c.Send(`42["burst",100]`)
			c.Conn.NetConn().(*net.TCPConn).SetLinger(0)
			return c.Conn.Close()
		},
		func() error { // gone before CONNECT
			c, err := dial(base, 3+rand.IntN(2), "")
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
			fmt.Fprintf(conn, "GET /socket.io/?EIO=%d&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 3+rand.IntN(2))
			return conn.Close()
		},
		func() error { // the server closes
			c, err := join(base, 4, "")
			if err != nil {
				return err
			}
			c.Send(`42["close"]`)
			for err == nil {
				_, err = c.Next()
			}
			return c.Conn.Close()
		},
		func() error { // half-open: never heard of again, ended by ping timeout
			_, err := join(base, 3+rand.IntN(2), "")
			return err
		},
		func() error { // polling, given up
			_, err := pollJoin(base, 3+rand.IntN(2), "")
			return err
		},
		func() error { // polling, closed
			p, err := pollJoin(base, 4, "")
			if err == nil {
				_, err = p.Post("41\x1e1")
			}
			return err
		},
		func() error { // aborted at every step of the upgrade
			p, err := pollJoin(base, 4, "")
			if err != nil {
				return err
			}
			conn, err := p.Candidate()
			if err != nil {
				return err
			}
			c := &enginetest.Client{Conn: conn}
			for _, step := range []string{"2probe", "5", "2"}[:rand.IntN(4)] {
				c.Send(step)
			}
			return conn.Close()
		},
		func() error { // upgraded while the session is closed
			p, err := pollJoin(base, 4, "")
			if err != nil {
				return err
			}
			conn, err := p.Candidate()
			if err != nil {
				return err
			}
			defer conn.Close()
			(&enginetest.Client{Conn: conn}).Send("2probe")
			go (&enginetest.Client{Conn: conn}).Send("5")
			p.Request("POST", "", strings.NewReader("nonsense"), "text/plain")
			io.Copy(io.Discard, conn.NetConn())
			return nil
		},
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
	var all []*enginetest.Client
	for range 50 {
		all = append(all, mustJoin(t, base, 4, ""))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	d.srv.Stop(ctx, time.Minute) // two milliseconds each
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
		if _, err := c.Next(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
			t.Error(err)
		}
	}
	if len(told) != 50 {
		t.Error("they were told", len(told), "times to be closed at")
	}
}
