package connlimit

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// patience bounds every wait; a passing test never needs it.
const patience = program.Patience

// ended waits until the server has closed a connection.
func ended(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Fatal("the connection is still open")
		}
	}
}

// answered sends a request on a connection and waits for the answer.
func answered(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(conn, make([]byte, 12)); err != nil {
		t.Fatal(err)
	}
}

// bounded is a server whose connections are bounded by a Limiter.
type bounded struct {
	*Limiter
	t       *testing.T
	server  *httptest.Server
	closed  atomic.Int64  // connections that the Limiter has closed
	began   chan struct{} // a handler has begun
	release func()        // lets all handlers end
}

// serveBounded starts one, which ends with the test.
func serveBounded(t *testing.T, max int) *bounded {
	b := &bounded{t: t, began: make(chan struct{}, 10)}
	b.Limiter = New(max, func() { b.closed.Add(1) })
	released := make(chan struct{})
	b.release = sync.OnceFunc(func() { close(released) })
	b.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/session":
			b.CarriesSession(r)
			fallthrough
		case "/slow":
			b.began <- struct{}{}
			<-released
		case "/hijack":
			conn, _, _ := http.NewResponseController(w).Hijack()
			t.Cleanup(func() { conn.Close() })
			b.began <- struct{}{}
		}
	}))
	b.Watch(b.server.Config)
	b.server.Start()
	t.Cleanup(func() {
		b.release()
		b.server.Close()
	})
	return b
}

func (b *bounded) dial() net.Conn {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.server.Listener.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

// counts waits until so many connections count.
func (b *bounded) counts(want int) {
	b.t.Helper()
	program.Eventually(b.t, patience, fmt.Sprintf("%d connections count", want), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.idle.Len()+b.requesting.Len() == want
	})
}

// begin sends a request and waits until it is being handled.
func (b *bounded) begin(path string) net.Conn {
	conn := b.dial()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	<-b.began
	return conn
}

func TestLimiter(t *testing.T) {
	b := serveBounded(t, 3)

	// What carries a session, or is a WebSocket, does not count.
	for range 5 {
		b.begin("/session")
		b.begin("/hijack")
	}
	b.counts(0)

	// The longest that waits goes: having sent nothing, a part, or a request.
	silent := b.dial()
	b.counts(1)
	half := b.dial()
	io.WriteString(half, "GET / HTTP/1.1\r\nHo")
	b.counts(2)
	idle := b.dial()
	answered(t, idle)
	b.counts(3)
	b.dial()
	ended(t, silent)
	b.dial()
	ended(t, half)
	answered(t, idle)                                                                               // it waits anew
	program.Eventually(t, patience, "two were closed", func() bool { return b.closed.Load() == 2 }) // counted right after the close

	// What asks goes last, the oldest first.
	first := b.begin("/slow")
	b.begin("/slow")
	b.begin("/slow")
	b.counts(3)
	ended(t, idle)
	b.begin("/slow")
	ended(t, first)
	b.counts(3)
	b.release()
	b.server.Config.SetKeepAlivesEnabled(false)
	b.server.CloseClientConnections()
	b.counts(0)
	program.Eventually(t, patience, "none is remembered", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.groups) == 0
	})
}
