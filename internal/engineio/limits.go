package engineio

import (
	"time"

	"golang.org/x/time/rate"
)

// limits bound what one client sends. They belong to the goroutine that handles its
// packets.
type limits struct {
	messages, packets, frames limiter
	bytesSincePause           int
}

// limiter bounds how many packets of a kind a client sends.
type limiter struct {
	rate       *rate.Limiter // nil: none has been counted
	violations int           // packets over the rate, lately
	lastAt     time.Time     // of the last violation
}

// violationsExpire is how long it takes until violations are forgotten.
const violationsExpire = 10 * time.Second

// packetSize is how many bytes a packet may have to count once, and again for each
// as many: reading them is what it costs.
const packetSize = 8 << 10

// allow counts a packet of a size in bytes. It reports whether the packet is within
// the rate, and whether the client has to be disconnected: after as many packets
// over the rate as the burst allows within it.
func (l *limiter) allow(o *Options, size int) (within, disconnect bool) {
	if o.PacketsPerSecond <= 0 {
		return true, false
	}
	if l.rate == nil {
		l.rate = rate.NewLimiter(rate.Limit(o.PacketsPerSecond), o.PacketsBurst)
	}
	now := time.Now()
	if l.rate.AllowN(now, min(1+size/packetSize, o.PacketsBurst)) {
		return true, false
	}
	if now.Sub(l.lastAt) > violationsExpire {
		l.violations = 0
	}
	l.lastAt = now
	l.violations++
	return false, l.violations > o.PacketsBurst
}

// Limit counts a message of a size, and reports whether it is within the rate. If
// not, the session answers it with a refusal and calls Throttle. It is for the
// goroutine that calls the session, like Count, Throttle and Violation.
func (c *Conn) Limit(size int) bool {
	within, disconnect := c.reading.messages.allow(&c.srv.opts, size)
	if disconnect {
		c.Violation()
	}
	return within
}

// Count counts a packet of a size that gets no answer, and throttles a client that
// is over the rate.
func (c *Conn) Count(size int) {
	within, disconnect := c.reading.packets.allow(&c.srv.opts, size)
	switch {
	case disconnect:
		c.Violation()
	case !within:
		c.Throttle()
	}
}

const (
	// maxThrottle bounds every pause but the one after a violation.
	maxThrottle    = 100 * time.Millisecond
	violationDelay = time.Second
)

// Throttle delays the next read by the time in which one more packet is allowed, so
// that a client that sends too fast waits for itself (TCP backpressure).
func (c *Conn) Throttle() {
	if perSecond := c.srv.opts.PacketsPerSecond; perSecond > 0 {
		wait(c.over, min(time.Second/time.Duration(perSecond), maxThrottle))
	}
}

// A connection is read at a megabyte a second, a message counting frameCost beside its
// bytes: a few percent of a core, whatever is sent. The reading goroutine sleeps after
// maxUnpaced bytes; yielding is not enough, since the other goroutine's thread may be on
// the same core. A rate.Limiter would need a burst of the largest message.
const (
	maxUnpaced = 2 << 10
	perByte    = time.Microsecond
)

// pace counts a message of a size in bytes that was read, and pauses when it is
// time.
func (l *limits) pace(c *Conn, size int) {
	l.bytesSincePause += size + frameCost
	if l.bytesSincePause >= maxUnpaced {
		wait(c.over, min(time.Duration(l.bytesSincePause)*perByte, maxThrottle))
		l.bytesSincePause = 0
	}
}
