package stall

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// pair is a connection and its peer, with buffers of a size.
func pair(t *testing.T, timeout time.Duration, buffer int) (ours *Conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer = conn.(*net.TCPConn)
	peer.SetReadBuffer(buffer)
	peer.SetReadDeadline(time.Now().Add(30 * time.Second))
	accepted, err := Listen(l, timeout).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close(); accepted.Close() })
	return accepted.(*Conn), peer
}

// much is more than two sockets hold.
const much = 8 << 20

func TestWriteToPeerThatDoesNotRead(t *testing.T) {
	const timeout = 200 * time.Millisecond
	ours, _ := pair(t, timeout, 4096)
	began := time.Now()
	n, err := ours.Write(make([]byte, much))
	if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n >= much || took < timeout {
		t.Errorf("%d bytes in %v: %v", n, took, err)
	}
}

// A peer that reads so slowly that the system reports no room for longer than the timeout
// gets everything.
func TestWriteToSlowPeer(t *testing.T) {
	const timeout = 2 * time.Second // a busy machine drains the buffers in jerks
	ours, peer := pair(t, timeout, 256<<10)
	sent := bytes.Repeat([]byte("0123456789abcdef"), much/16)
	written := make(chan error, 1)
	go func() {
		_, err := ours.WriteBuffers(net.Buffers{sent[:1000], sent[1000:]})
		ours.CloseWrite()
		written <- err
	}()
	var got bytes.Buffer
	buffer := make([]byte, 16<<10)
	for began := time.Now(); time.Since(began) < timeout*3/2; time.Sleep(20 * time.Millisecond) {
		n, err := peer.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buffer[:n])
	}
	if _, err := io.Copy(&got, peer); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil || !bytes.Equal(got.Bytes(), sent) {
		t.Errorf("%d bytes came of %d: %v", got.Len(), len(sent), err)
	}
}

// A deadline applies too, also to a write under way, and a write keeps it.
func TestDeadlines(t *testing.T) {
	ours, peer := pair(t, time.Hour, 4096)
	ours.SetWriteDeadline(time.Now().Add(-time.Second))
	if _, err := ours.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a deadline that has passed:", err)
	}
	ours.SetDeadline(time.Time{})
	if _, err := ours.Write([]byte("x")); err != nil {
		t.Error("without one:", err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := ours.Write(make([]byte, much))
		failed <- err
	}()
	if _, err := io.ReadFull(peer, make([]byte, 1000)); err != nil { // it goes on
		t.Fatal(err)
	}
	ours.SetWriteDeadline(time.Now())
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a write that goes on:", err)
	}
	if ours.Close(); !errors.Is(func() error { _, err := ours.Write([]byte("x")); return err }(), net.ErrClosed) {
		t.Error("a closed connection is written to")
	}
}

// Answers of net/http are bounded without help of the handler, its own error answers and
// pipelined ones too.
func TestServer(t *testing.T) {
	ended := make(chan error, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := w.Write(make([]byte, much))
		ended <- err
	}))
	server.Listener = Listen(server.Listener, 200*time.Millisecond)
	closed := make(chan struct{})
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4096)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("the connection stays open")
	}
	if len(ended) > 0 {
		t.Error("the second request was handled")
	}
}
