package engineio

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"

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
		if got, err := quick.Next(); err != nil || !strings.HasPrefix(got, `42["big"`) {
			t.Fatalf("the quick client: %.40q, %v", got, err)
		}
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
	if _, err := quick.Ask(1, `["marks"]`); err != nil {
		t.Error(err)
	}
}

// A polling client that never polls is disconnected too.
func TestClientThatDoesNotPollIsDisconnected(t *testing.T) {
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
	c.Send(`42["big",1000000]`)
	if got, err := c.Next(); err != nil || len(got) != 1_000_000+len(`42["big",""]`) {
		t.Errorf("%d bytes, %v", len(got), err)
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
		packet, _ := p.Next()
		ended <- packet
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d.srv.Stop(ctx, 0, nil)
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
