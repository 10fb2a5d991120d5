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
	"syscall"
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

// A WebSocket that is not read ends, at WRITE_TIMEOUT or, since the end is not behind
// what cannot be written, for another reason.
func TestWebSocketThatIsNotRead(t *testing.T) {
	t.Parallel()
	for cut, opts := range []Options{
		{WriteTimeout: time.Hour, PingInterval: time.Second, PingTimeout: 3 * time.Second},
		{WriteTimeout: 200 * time.Millisecond},
	} {
		seen := &slowly{}
		opts.MaxQueue, opts.Observer = 64<<20, seen
		d, base := start(t, opts)
		c := mustJoin(t, base, 4, "")
		c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4096)
		l := d.connOf(c.SID)
		l.Send(frameOf(strings.Repeat("x", 16<<20)))
		<-l.over
		eventually(t, "it is counted, if it was for that", func() bool { return int(seen.cut.Load()) == cut })
		if len(d.conns()) != 0 {
			t.Error("the session has not heard of the end")
		}
	}
}

// An answer to a poll that is not read ends at WRITE_TIMEOUT, and when the session ends
// soon, whatever the timeout.
func TestPollThatIsNotRead(t *testing.T) {
	for cut, timeout := range []time.Duration{time.Hour, 200 * time.Millisecond} {
		seen := &slowly{}
		d, base := start(t, Options{WriteTimeout: timeout, MaxQueue: 64 << 20, Observer: seen})
		p := mustPoll(t, base, 4, "")
		l := d.connOf(p.SID)
		l.Send(frameOf(strings.Repeat("x", 16<<20)))
		conn := rawConn(t, base)
		conn.SetReadBuffer(4096)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", strings.TrimPrefix(p.URL(""), base))
		if cut == 0 {
			await(t, "the answer is being written", l, func() bool { return l.carrier.abort != nil })
			if all, _ := d.srv.Queued(); all < 16<<20 {
				t.Errorf("%d bytes count as queued while they are being written", all)
			}
			go l.CloseNow()
		}
		<-l.over
		await(t, "the request ends", l, func() bool { return int(seen.cut.Load()) == cut && !l.carrier.polling })
	}
}

// candidateThatDoesNotRead is a WebSocket beside polling that sends pings until
// nothing takes them any more, since their answers are not read.
func candidateThatDoesNotRead(t *testing.T, base string, p *poller) (out *net.TCPConn, blocked bool) {
	t.Helper()
	conn := mustCandidate(t, p).Conn
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
	p := mustPoll(t, base, 4, "")
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
	p := mustPoll(t, base, 4, "")
	l := d.connOf(p.SID)
	candidate, _ := candidateThatDoesNotRead(t, base, p)
	await(t, "it is given up", l, func() bool { return l.carrier.candidate == nil })
	mustAsk(t, p, `["marks"]`) // polling after it
	if !isHungUp(candidate) {
		t.Error("its connection stays")
	}
}

// Stop waits for nothing longer than its context, not for sessions, and without one
// not for clients that do not answer its close.
func TestStopIsBounded(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		d, base := start(t, Options{CloseTimeout: time.Hour})
		d.stuck = stuck
		for _, protocol := range []int{3, 4} {
			mustJoin(t, base, protocol, "")
			mustPoll(t, base, protocol, "")
		}
		ctx, spread := t.Context(), time.Duration(0)
		if stuck {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			spread = time.Minute
		}
		stopped := make(chan struct{})
		go func() { d.srv.Stop(ctx, spread, nil); close(stopped) }()
		select {
		case <-stopped:
		case <-time.After(patience):
			t.Errorf("Stop waits; sessions are stuck: %t", stuck)
		}
		close(d.gate)
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
			expect(t, c, `42["rollcall_error",{"error":"message_too_large"…`)
		}
		if _, err = c.Next(); !websocket.IsCloseError(err, code) {
			t.Errorf("want %d: %v", code, err)
		}
	}
}

// Writes that are the last ones of a connection, to a client that reads nothing
// at all: no byte of them can leave.

// A blocked connection is the server's side of one whose client takes no more.
type blocked struct{ net.Conn }

// block writes to the server's side of a connection, beside the server, until the
// client takes no more.
func (d *fixture) block(t *testing.T, client net.Conn) blocked {
	t.Helper()
	var conn net.Conn
	eventually(t, "the server has accepted the connection", func() bool {
		c, ok := d.accepted.Load(client.LocalAddr().String())
		if ok {
			conn = c.(net.Conn)
		}
		return ok
	})
	for size := 64 << 10; size > 0; size /= 16 { // the system takes little when it takes no more
		for filler := make([]byte, size); ; {
			conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := conn.Write(filler); errors.Is(err, os.ErrDeadlineExceeded) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	conn.SetWriteDeadline(time.Time{})
	return blocked{conn}
}

// isClosed reports whether the server has closed it. The client cannot see that
// without reading, and then what was blocked could be written.
func (b blocked) isClosed() bool {
	raw, err := b.Conn.(syscall.Conn).SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// A candidate that is refused is closed soon, whatever the timeouts, also when
// its close frame cannot be written.
func TestRefusedCandidateThatDoesNotRead(t *testing.T) {
	d, base := start(t, Options{WriteTimeout: time.Hour, UpgradeTimeout: time.Hour})
	p := mustPoll(t, base, 4, "")
	candidate := mustCandidate(t, p).Conn
	conn := d.block(t, candidate.NetConn())
	if err := candidate.WriteMessage(1, []byte("4no packet of an upgrade")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the candidate is closed", conn.isClosed)
}

// A poll that begins when its session has ended is answered within a bound, whatever
// the timeout, also when its client takes no answer.
func TestPollOfEndedSessionThatIsNotRead(t *testing.T) {
	d, base := start(t, Options{WriteTimeout: time.Hour})
	p := mustPoll(t, base, 4, "")
	conn := rawConn(t, base)
	c := d.connOf(p.SID)
	c.CloseNow()
	d.late.Store(c)
	kept := d.block(t, conn)
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the answer is given up", kept.isClosed)
}
