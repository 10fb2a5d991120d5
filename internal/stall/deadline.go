package stall

import (
	"net"
	"sync"
	"time"
)

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
