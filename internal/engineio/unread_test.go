package engineio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Clients that ask and do not read the answers.

// slowly counts the clients that were disconnected because they do not read.
type slowly struct {
	NoObserver
	cut atomic.Int64
}

func (s *slowly) SlowDisconnect() { s.cut.Add(1) }

// unread opens a connection that takes next to nothing and sends a request.
func unread(t *testing.T, base, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\n\r\n", request)
	return conn
}

func TestWebSocketThatIsNotRead(t *testing.T) {
	seen := &slowly{}
	d, base := start(t, Options{WriteTimeout: 200 * time.Millisecond, MaxQueue: 64 << 20, Observer: seen})
	c := mustJoin(t, base, 4, "")
	c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	l := d.connOf(c.SID)
	d.conns()[0].Send(frameOf(strings.Repeat("x", 16<<20)))
	<-l.over
	eventually(t, "it is counted", func() bool { return seen.cut.Load() == 1 })
	if len(d.conns()) != 0 {
		t.Error("the session has not heard of the end")
	}
}

// The end of a session is not behind what cannot be written.
func TestEndOfWebSocketThatIsNotRead(t *testing.T) {
	d, base := start(t, Options{WriteTimeout: time.Hour, MaxQueue: 64 << 20, PingInterval: 100 * time.Millisecond, PingTimeout: time.Second})
	c := mustJoin(t, base, 4, "")
	c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	l := d.connOf(c.SID)
	d.conns()[0].Send(frameOf(strings.Repeat("x", 16<<20)))
	<-l.over
	if len(d.conns()) != 0 {
		t.Error("the session has not heard of the end")
	}
}

func TestPollThatIsNotRead(t *testing.T) {
	seen := &slowly{}
	d, base := start(t, Options{WriteTimeout: 200 * time.Millisecond, MaxQueue: 64 << 20, Observer: seen})
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	l := d.connOf(p.SID)
	d.conns()[0].Send(frameOf(strings.Repeat("x", 16<<20)))
	unread(t, base, "GET "+strings.TrimPrefix(p.URL(""), base))
	eventually(t, "the answer is being written", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.carrier.abort != nil })
	if all, _ := d.srv.Queued(); all < 16<<20 {
		t.Errorf("%d bytes count as queued while they are being written", all)
	}
	<-l.over
	eventually(t, "it is counted, and the request ends", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return seen.cut.Load() == 1 && !l.carrier.polling
	})
}

// When the session ends, an answer that is not read ends soon, whatever the
// timeout.
func TestUnreadPollEndsWithTheSession(t *testing.T) {
	d, base := start(t, Options{WriteTimeout: time.Hour, MaxQueue: 64 << 20})
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	l, conn := d.connOf(p.SID), d.conns()[0]
	conn.Send(frameOf(strings.Repeat("x", 16<<20)))
	unread(t, base, "GET "+strings.TrimPrefix(p.URL(""), base))
	eventually(t, "the answer is being written", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.carrier.abort != nil })
	go l.CloseNow()
	<-l.over
	eventually(t, "the request ends", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return !l.carrier.polling })
}

// candidateThatDoesNotRead is a WebSocket beside polling that sends pings until
// nothing takes them any more, since their answers are not read.
func candidateThatDoesNotRead(t *testing.T, base string, p *poller) (out *net.TCPConn, blocked bool) {
	t.Helper()
	conn, err := p.Candidate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	out = conn.NetConn().(*net.TCPConn)
	out.SetReadBuffer(4096)
	out.SetWriteBuffer(64 << 10)
	pings := strings.Repeat("\x89\xfd\x00\x00\x00\x00"+strings.Repeat("x", 125), 1000)
	for {
		out.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := out.Write([]byte(pings)); err != nil {
			return out, errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

// isHungUp reads what there is, and reports whether the other side has closed the
// connection.
func isHungUp(conn *net.TCPConn) bool {
	conn.SetReadBuffer(4 << 20)
	conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, conn)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// The session hears of the end, and the place is free, while an answer to the
// candidate cannot be written.
func TestCandidateThatDoesNotRead(t *testing.T) {
	d, base := start(t, Options{WriteTimeout: time.Hour, UpgradeTimeout: time.Hour})
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	l := d.connOf(p.SID)
	candidate, blocked := candidateThatDoesNotRead(t, base, p)
	if !blocked {
		t.Fatal("the candidate was closed")
	}
	ended := make(chan struct{})
	go func() { l.CloseNow(); close(ended) }()
	<-ended
	if len(d.conns()) != 0 || d.connOf(p.SID) != nil {
		t.Error("the session goes on")
	}
	if !isHungUp(candidate) {
		t.Error("the candidate stays")
	}
}

// A candidate is given up in time, and polling goes on.
func TestCandidateHasATime(t *testing.T) {
	d, base := start(t, Options{WriteTimeout: time.Hour, UpgradeTimeout: 2 * time.Second})
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	l := d.connOf(p.SID)
	candidate, _ := candidateThatDoesNotRead(t, base, p)
	eventually(t, "it is given up", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.carrier.candidate == nil })
	if answer, err := p.Ask(1, `["marks"]`); err != nil || !strings.Contains(answer, `"ok":true`) {
		t.Errorf("polling after it: %q, %v", answer, err)
	}
	if !isHungUp(candidate) {
		t.Error("its connection stays")
	}
}

// Stop waits for nothing longer than its context: not for clients, not for
// sessions.
func TestStopIsBounded(t *testing.T) {
	d, base := start(t, Options{})
	d.stuck = true
	for _, protocol := range []int{3, 4} {
		mustJoin(t, base, protocol, "")
		if _, err := pollJoin(base, protocol, ""); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	stopped := make(chan struct{})
	go func() { d.srv.Stop(ctx, time.Minute, nil); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Error("Stop waits for a session that is stuck")
	}
	close(d.gate)
}

// Stop does not wait for clients that do not answer its close.
func TestStopDrops(t *testing.T) {
	d, base := start(t, Options{CloseTimeout: time.Hour})
	for _, protocol := range []int{3, 4} {
		mustJoin(t, base, protocol, "")
		if _, err := pollJoin(base, protocol, ""); err != nil {
			t.Fatal(err)
		}
	}
	stopped := make(chan struct{})
	go func() { d.srv.Stop(context.Background(), 0, nil); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Error("Stop waits for its clients")
	}
}

// The client is told why, even if much is queued before.
func TestCloseFollowsTheQueue(t *testing.T) {
	for message, code := range map[string]int{
		"4" + strings.Repeat("x", 100<<10): websocket.CloseMessageTooBig,
		"4\xff":                            websocket.CloseInvalidFramePayloadData,
	} {
		d, base := start(t, Options{MaxQueue: 64 << 20, CloseTimeout: patience})
		c := mustJoin(t, base, 4, "")
		d.conns()[0].Send(frameOf(strings.Repeat("x", 16<<20)))
		c.Send(message)
		got, err := c.Next()
		if err != nil || len(got) != 16<<20 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if code == websocket.CloseMessageTooBig {
			if got, err := c.Next(); !strings.Contains(got, `"message_too_large"`) {
				t.Errorf("it is told %q, %v", got, err)
			}
		}
		if _, err = c.Next(); !websocket.IsCloseError(err, code) {
			t.Errorf("want %d: %v", code, err)
		}
	}
}
