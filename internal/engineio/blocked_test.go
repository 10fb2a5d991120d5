package engineio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	candidate, err := p.Candidate()
	if err != nil {
		t.Fatal(err)
	}
	defer candidate.Close()
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
	p, err := pollJoin(base, 4, "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := d.connOf(p.SID)
	c.CloseNow()
	d.late.Store(c)
	kept := d.block(t, conn)
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the answer is given up", kept.isClosed)
}

// When its context has ended, Stop spreads nothing any more. A spread takes a
// known time at least, so only the opposite is measured, and more than once.
func TestStopSpreadsWithinItsContext(t *testing.T) {
	var took, spread time.Duration
	for sessions := 200; sessions <= 800; sessions *= 2 {
		d, base := start(t, Options{})
		for range sessions {
			if _, err := pollJoin(base, 4, ""); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		began := time.Now()
		d.srv.Stop(ctx, time.Minute, nil)
		eventually(t, "all are gone", func() bool { return len(d.conns()) == 0 })
		took, spread = time.Since(began), stopPause*time.Duration(sessions-1)
		if took < spread {
			return
		}
	}
	t.Errorf("all are gone after %v, as with a spread of %v", took, spread)
}
