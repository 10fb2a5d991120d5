package engineio

import "time"

// This file notices clients that are gone without a word: in protocol 4 the server
// pings and waits for the pong, in protocol 3 clients ping. A connection has one
// timer, which also bounds its orderly end.

// startTimer begins to wait for the first ping or pong.
func (c *Conn) startTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == open {
		c.awaitPing()
	}
}

// awaitPing sets the timer to when the next ping is due: the server's in protocol
// 4, else the client's, for which it may take its time. c.mu is held.
func (c *Conn) awaitPing() {
	c.pinged = false
	if c.protocol == 3 {
		c.setTimer(c.srv.opts.PingInterval + c.srv.opts.PingTimeout)
	} else {
		c.setTimer(c.srv.opts.PingInterval)
	}
}

// setTimer lets onTimer do in a while what is to be done in the present state. c.mu
// is held.
func (c *Conn) setTimer(d time.Duration) {
	c.deadline = time.Now().Add(d)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.onTimer)
	} else {
		c.timer.Reset(d)
	}
}

func (c *Conn) onTimer() {
	c.mu.Lock()
	if left := time.Until(c.deadline); left > 0 { // it was set anew just as it rang
		c.timer.Reset(left)
		c.mu.Unlock()
		return
	}
	state, ping := c.state, c.protocol == 4 && !c.pinged
	if state == open && ping {
		c.pinged = true
		c.setTimer(c.srv.opts.PingTimeout)
	}
	c.mu.Unlock()
	switch {
	case state != open:
		c.CloseNow()
	case ping:
		c.Write(Run{frames: pingPacket}, nil)
	default:
		c.end(failed, Timeout)
	}
}

var (
	pingPacket = AppendText(nil, []byte{'2'})
	pongPacket = AppendText(nil, []byte{'3'})
)

// receivePing takes a ping or a pong. What it carries comes back with the pong. One
// in the wrong direction is a fault.
func (c *Conn) receivePing(packet []byte) {
	fromServer := c.protocol == 4
	if fromServer != (packet[0] == '3') {
		c.fail()
		return
	}
	c.mu.Lock()
	if c.state == open {
		c.awaitPing()
	}
	c.mu.Unlock()
	if !fromServer {
		c.Send(pongPacket)
	}
}
