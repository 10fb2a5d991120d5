package engineio

import "time"

// This file is what becomes of the packets that a client sends, and how clients are
// noticed that are gone without a word: in protocol 4 the server pings and waits for
// the pong, in protocol 3 clients ping. One goroutine at a time handles packets: that
// of a POST, or, when there is none any more, that which reads the WebSocket.

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

func (t *timer) stop() {
	if t.Timer != nil {
		t.Stop()
	}
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
