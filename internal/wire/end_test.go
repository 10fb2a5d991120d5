package wire

import (
	"context"
	"encoding/json"
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

	"rollcall/rooms"
)

// A client that stops reading is cut off at the limit; others are served
// undisturbed meanwhile and memory stays bounded.
func TestSlowClientIsCutOff(t *testing.T) {
	const limit = 1 << 20
	d, base := start(t, Options{MaxQueue: limit})
	slow := mustJoin(t, base, 4, "")
	slow.conn.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	quick := mustJoin(t, base, 4, "")
	eventually(t, "both are in", func() bool { return len(d.conns()) == 2 })
	conns := d.conns()

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	frames := d.srv.Encode(rooms.Event{Name: "big", Args: []json.RawMessage{[]byte(`"` + strings.Repeat("x", 64<<10) + `"`)}})
	peak := 0
	for len(d.conns()) == 2 {
		d.srv.Fanout([]rooms.Delivery{{Frames: frames, To: conns}})
		if got, err := quick.next(); err != nil || !strings.HasPrefix(got, `42["big"`) {
			t.Fatalf("the quick client: %.40q, %v", got, err)
		}
		for _, c := range conns {
			l := c.(*session).link
			l.mu.Lock()
			peak = max(peak, l.queued)
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
	if _, err := quick.ask(1, `["marks"]`); err != nil {
		t.Error(err)
	}
}

// A polling client that never polls is cut off too.
func TestClientThatDoesNotPollIsCutOff(t *testing.T) {
	d, base := start(t, Options{MaxQueue: 10_000})
	if _, err := pollJoin(base, 4, ""); err != nil {
		t.Fatal(err)
	}
	c := d.conns()[0]
	eventually(t, "it is gone", func() bool {
		c.Send(d.ticks(100))
		return len(d.conns()) == 0
	})
}

// One list may be larger than the limit; a client that reads gets it.
func TestOneLargeEventPasses(t *testing.T) {
	_, base := start(t, Options{MaxQueue: 10_000})
	c := mustJoin(t, base, 4, "")
	c.send(`42["big",1000000]`)
	if got, err := c.next(); err != nil || len(got) != 1_000_000+len(`42["big",""]`) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Connections opened and closed in every way leave nothing behind.
func TestNothingIsLeftBehind(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 400
	}
	const shortest = 300 * time.Millisecond // of the server's timeouts
	d, base := start(t, Options{
		PingInterval: 500 * time.Millisecond, PingTimeout: time.Second,
		UpgradeTimeout: shortest, CloseTimeout: shortest,
	})
	before := runtime.NumGoroutine()
	ways := []func() error{
		func() error { // an orderly close
			c, err := join(base, 3+rand.IntN(2), "")
			if err != nil {
				return err
			}
			c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
			for err = nil; err == nil; { // a ping that crosses it is not answered any more
				_, _, err = c.conn.ReadMessage()
			}
			if !websocket.IsCloseError(err, 1000) {
				return fmt.Errorf("the close was answered with %v", err)
			}
			return c.conn.Close()
		},
		func() error { // terminated
			c, err := join(base, 4, "")
			if err != nil {
				return err
			}
			return c.conn.Close()
		},
		func() error { // reset, with data under way
			c, err := join(base, 4, "")
			if err != nil {
				return err
			}
			c.send(`42["burst",100]`)
			c.conn.NetConn().(*net.TCPConn).SetLinger(0)
			return c.conn.Close()
		},
		func() error { // gone before CONNECT
			c, err := dial(base, 3+rand.IntN(2), "")
			if err != nil {
				return err
			}
			c.send("40")
			return c.conn.Close()
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
			c.send(`42["close"]`)
			for err == nil {
				_, err = c.next()
			}
			return c.conn.Close()
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
				_, err = p.post("41\x1e1")
			}
			return err
		},
		func() error { // aborted at every step of the upgrade
			p, err := pollJoin(base, 4, "")
			if err != nil {
				return err
			}
			conn, _, err := dialer.Dial(endpoint(base, "websocket", 4, "&sid="+p.sid), nil)
			if err != nil {
				return err
			}
			c := &client{conn: conn}
			for _, step := range []string{"2probe", "5", "2"}[:rand.IntN(4)] {
				c.send(step)
			}
			return conn.Close()
		},
		func() error { // upgraded while the session is closed
			p, err := pollJoin(base, 4, "")
			if err != nil {
				return err
			}
			conn, _, err := dialer.Dial(endpoint(base, "websocket", 4, "&sid="+p.sid), nil)
			if err != nil {
				return err
			}
			defer conn.Close()
			(&client{conn: conn}).send("2probe")
			go (&client{conn: conn}).send("5")
			p.request("POST", "", strings.NewReader("nonsense"), "text/plain")
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
	eventually(t, "the maps are empty", func() bool {
		d.srv.mu.Lock()
		defer d.srv.mu.Unlock()
		return len(d.srv.links) == 0 && d.srv.engine.Clients().Len() == 0 &&
			d.srv.engine.ClientsCount() == 0 && d.srv.io.Sockets().Sockets().Len() == 0
	})
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
	var all []*client
	for range 50 {
		all = append(all, mustJoin(t, base, 4, ""))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	d.srv.Stop(ctx, time.Minute) // two milliseconds each
	if took := time.Since(began); took < 50*stopPause*9/10 {
		t.Error("all were closed within", took)
	}
	told := map[string]bool{}
	for _, c := range all {
		packet, err := c.next()
		if err != nil || !strings.HasPrefix(packet, `42["server_closing",{"in":`) {
			t.Errorf("%q, %v", packet, err)
		}
		told[packet] = true
		if _, err := c.next(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
			t.Error(err)
		}
	}
	if len(told) != 50 {
		t.Error("they were told", len(told), "times to be closed at")
	}
}

// Stop ends every session in order and leaves no goroutine.
func TestStop(t *testing.T) {
	d, base := start(t, Options{CloseTimeout: patience}) // the poll may come late
	ws := mustJoin(t, base, 4, "")
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		packet, _ := p.next()
		ended <- packet
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d.srv.Stop(ctx, 0)
	if _, err := ws.next(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
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
