package limit

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every wait; a passing test never needs it.
const patience = 20 * time.Second

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

// asks does a request on a connection and reports whether it is answered.
func asks(conn net.Conn, path string) error {
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	answer := make([]byte, 12)
	_, err := io.ReadFull(conn, answer)
	return err
}

func TestConns(t *testing.T) {
	var closed atomic.Int64
	c := NewConns(3, func() { closed.Add(1) })
	release, began := make(chan struct{}), make(chan struct{}, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/session":
			c.CarriesSession(r)
			fallthrough
		case "/slow":
			began <- struct{}{}
			<-release
		case "/hijack":
			conn, _, _ := http.NewResponseController(w).Hijack()
			t.Cleanup(func() { conn.Close() })
			began <- struct{}{}
		}
	}))
	c.Watch(server.Config)
	server.Start()
	defer server.Close()
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	count := func(want int) {
		t.Helper()
		for end := time.Now().Add(patience); c.Count() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d connections count, want %d", c.Count(), want)
			}
		}
	}
	begin := func(path string) net.Conn {
		conn := dial()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		<-began
		return conn
	}

	// What carries a session, or is a WebSocket, does not count.
	for range 5 {
		begin("/session")
		begin("/hijack")
	}
	count(0)

	// The longest that waits goes: having sent nothing, a part, or a request.
	silent := dial()
	count(1)
	half := dial()
	io.WriteString(half, "GET / HTTP/1.1\r\nHo")
	count(2)
	idle := dial()
	if err := asks(idle, "/"); err != nil {
		t.Fatal(err)
	}
	count(3)
	dial()
	ended(t, silent)
	dial()
	ended(t, half)
	if err := asks(idle, "/"); err != nil { // it waits anew
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); closed.Load() != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) { // it is told right after the close
			t.Fatalf("%d were closed, want 2", closed.Load())
		}
	}

	// What asks goes last, the oldest first.
	first := begin("/slow")
	begin("/slow")
	begin("/slow")
	count(3)
	ended(t, idle)
	begin("/slow")
	ended(t, first)
	count(3)
	close(release)
	server.Config.SetKeepAlivesEnabled(false)
	server.CloseClientConnections()
	count(0)
	remembered := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.conns)
	}
	for end := time.Now().Add(patience); remembered() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d are remembered", remembered())
		}
	}
}
