package engineio

// This file is what becomes of the packets that a client sends. One goroutine at a
// time handles them: that of a POST, or, when there is none any more, that which
// reads the WebSocket.

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
	switch packet[0] {
	case '2', '3':
		c.receivePing(packet)
	case '0', '1', '5', '6': // mean nothing here
	default:
		c.fail()
	}
}

// beginPost lets a POST be handled, unless one is already, or the WebSocket has
// taken over.
func (c *Conn) beginPost() (begun, overlap bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.posted != nil || c.ws != nil {
		return false, c.posted != nil
	}
	c.posted = make(chan struct{})
	return true, false
}

func (c *Conn) endPost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.posted)
	c.posted = nil
}

// awaitPost waits until no POST is being handled, or the connection is over: what
// the client sends over WebSocket behind it comes after it.
func (c *Conn) awaitPost() {
	c.mu.Lock()
	posted := c.posted
	c.mu.Unlock()
	if posted == nil {
		return
	}
	select {
	case <-posted:
	case <-c.over:
	}
}
