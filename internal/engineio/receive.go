package engineio

import (
	"time"

	"golang.org/x/time/rate"
)

// This file is what becomes of the packets that a client sends, how many they may be, and
// how clients are noticed that are gone without a word: in protocol 4 the server pings and
// waits for the pong, in protocol 3 clients ping. One goroutine at a time handles packets:
// that of a POST, or, when there is none any more, that which reads the WebSocket.

// receive handles one packet. It reports whether reading goes on.
func (c *Conn) receive(m message) bool {
	if c.isMuted() {
		return false
	}
	var err error
	if !m.binary && len(m.data) > 0 && m.data[0] == 'b' { // over WebSocket: of a POST's it is undone
		err = m.unbase64(c.protocol)
	}
	switch {
	case err != nil, len(m.data) == 0 && !(m.binary && c.protocol == 4):
		c.srv.opts.Observer.Refusal(invalidPacket)
		c.fail()
	case m.binary && c.protocol == 4:
		c.session.Binary(m.data)
	case m.binary && m.data[0] == 4:
		c.session.Binary(m.data[1:])
	case m.binary:
		c.fail()
	case m.data[0] == '4':
		c.session.Text(m.data[1:])
	default:
		c.receiveOther(m.data)
	}
	return !c.isMuted()
}

// receiveOther handles a packet that is no message.
func (c *Conn) receiveOther(packet []byte) {
	c.Count(len(packet))
	if c.isMuted() {
		return
	}
	ping := byte('2')
	if c.protocol == 4 { // the answer to the server's
		ping = '3'
	}
	switch packet[0] {
	case ping:
		c.mu.Lock()
		if c.life.state == open {
			c.timer.awaitPing(c)
		}
		c.mu.Unlock()
		if c.protocol == 3 {
			c.Send(pongPacket.frames)
		}
	case '0', '1', '5', '6': // mean nothing here
	default:
		c.fail()
	}
}

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

// timer is a connection's one timer: for the next ping, then for its orderly end. Its
// Conn's mu guards it.
type timer struct {
	*time.Timer
	deadline time.Time // when it is to do something
	pinged   bool      // protocol 4: a ping is not yet answered
}

// set lets the connection's onTimer do in a while what is to be done in the state that
// it has then.
func (t *timer) set(c *Conn, d time.Duration) {
	t.deadline = time.Now().Add(d)
	if t.Timer == nil {
		t.Timer = time.AfterFunc(d, c.onTimer)
	} else {
		t.Reset(d)
	}
}

// awaitPing sets the timer to when the next ping is due: the server's in protocol 4,
// else the client's, for which it may take its time.
func (t *timer) awaitPing(c *Conn) {
	t.pinged = false
	d := c.srv.opts.PingInterval
	if c.protocol == 3 {
		d += c.srv.opts.PingTimeout
	}
	t.set(c, d)
}

func (c *Conn) onTimer() {
	c.mu.Lock()
	if left := time.Until(c.timer.deadline); left > 0 { // it was set anew just as it rang
		c.timer.Reset(left)
		c.mu.Unlock()
		return
	}
	state, ping := c.life.state, c.protocol == 4 && !c.timer.pinged
	if state == open && ping {
		c.timer.pinged = true
		c.timer.set(c, c.srv.opts.PingTimeout)
	}
	c.mu.Unlock()
	switch {
	case state != open:
		c.CloseNow()
	case ping:
		c.Write(pingPacket, nil)
	default:
		c.end(failed, Timeout)
	}
}
