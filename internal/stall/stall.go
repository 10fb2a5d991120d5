// Package stall fails writes to peers that have stopped reading. A deadline for a whole
// answer would disconnect slow readers, and no deadline would let a peer hold a
// goroutine and its data for ever. So progress counts: a write fails when the peer has
// taken nothing for a given time.
package stall

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// checks is how often within the timeout a blocked write checks for progress. It fails
// at most a fourth of the timeout late.
const checks = 4

// Conn is a connection whose writes fail with os.ErrDeadlineExceeded when the
// peer takes nothing for the timeout. A write deadline applies as well. Like any
// net.Conn it is safe for concurrent use; concurrent writes may interleave.
type Conn struct {
	net.Conn
	timeout time.Duration
	limit   deadline
}

// NewConn gives a connection a timeout, and a Conn another one than it had.
func NewConn(conn net.Conn, timeout time.Duration) *Conn {
	if c, ok := conn.(*Conn); ok {
		conn = c.Conn
	}
	return &Conn{Conn: conn, timeout: timeout}
}

func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.WriteBuffers(net.Buffers{b})
	return int(n), err
}

// WriteBuffers writes all of the buffers with as few calls as the system allows.
func (c *Conn) WriteBuffers(buffers net.Buffers) (written int64, err error) {
	c.limit.begin()
	defer c.limit.end(c.Conn)
	progress, unread := time.Now(), -1
	for {
		if err := c.limit.apply(c.Conn, time.Now().Add(c.timeout/checks)); err != nil {
			return written, err
		}
		n, err := buffers.WriteTo(c.Conn)
		written += n
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.limit.passed() {
			return written, err
		}
		// The system reports room only when there is a lot of it. Bytes that the peer
		// has acknowledged since show smaller progress.
		now, left := time.Now(), unacknowledged(c.Conn)
		if n > 0 || left < unread {
			progress = now
		}
		unread = left
		if now.Sub(progress) >= c.timeout {
			return written, err
		}
	}
}

func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn: a write fails at t, whatever the progress.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.limit.set(c.Conn, t) }

// CloseWrite closes the writing side, if the connection can do that.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn implements syscall.Conn, if the connection does.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if raw, ok := c.Conn.(syscall.Conn); ok {
		return raw.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Listen makes a Conn of every connection that a listener accepts.
func Listen(l net.Listener, timeout time.Duration) net.Listener { return listener{l, timeout} }

type listener struct {
	net.Listener
	timeout time.Duration
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return NewConn(conn, l.timeout), nil
}

// deadline keeps the write deadline that the connection's user has set, since a write
// sets others for its checks.
type deadline struct {
	mu      sync.Mutex // guards the fields below, and the order in which deadlines are set
	at      time.Time  // zero: none
	writing int        // writes under way
}

// set sets the deadline, also for a write under way.
func (d *deadline) set(conn net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if t.IsZero() && d.writing > 0 { // its next check keeps its time
		return nil
	}
	return conn.SetWriteDeadline(t)
}

func (d *deadline) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writing++
}

// apply lets a write wait until t, or until the deadline if that comes first.
func (d *deadline) apply(conn net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.at.IsZero() && d.at.Before(t) {
		t = d.at
	}
	return conn.SetWriteDeadline(t)
}

// end restores the deadline after the last write under way.
func (d *deadline) end(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writing--; d.writing == 0 {
		conn.SetWriteDeadline(d.at)
	}
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}
