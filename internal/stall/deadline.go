package stall

import (
	"net"
	"sync"
	"time"
)

// A deadline is what a connection's user has set for writes. It is kept, since a
// write that goes on sets others, for its looks.
type deadline struct {
	mu      sync.Mutex // guards all below, and the order in which deadlines are set
	at      time.Time  // zero: none
	writing int        // how many writes go on
}

// set sets it, also for a write that is going on.
func (d *deadline) set(conn net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if t.IsZero() && d.writing > 0 { // the next look comes as it was set
		return nil
	}
	return conn.SetWriteDeadline(t)
}

func (d *deadline) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writing++
}

// apply lets a write wait until t, or until the deadline if that is earlier.
func (d *deadline) apply(conn net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.at.IsZero() && d.at.Before(t) {
		t = d.at
	}
	return conn.SetWriteDeadline(t)
}

// end leaves the deadline to whoever else writes to the connection.
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
