package engineio

import "time"

// This file is how a connection ends.

// state is how far a connection's end has come; it only moves forward.
type state int

const (
	open    state = iota
	leaving       // orderly: what is queued is written, over polling to the polls to come
	failed        // what is queued is written to the transport that is open
	gone          // nothing is read or written any more
)

// Close ends the connection in order: the session ends, what is queued is written,
// and the client is told. Over polling the connection lives until the client has
// fetched the rest, for CloseTimeout at most.
func (c *Conn) Close() { c.end(leaving, Closed) }

// CloseNow ends the connection at once and lets go of everything.
func (c *Conn) CloseNow() { c.end(gone, Closed) }

// fail ends the connection for a fault of its client's, when what is queued has
// been written. In an orderly close nothing counts as a fault any more.
func (c *Conn) fail() { c.end(failed, Closed) }

// end is the one way in which a connection ends. It waits for no client, and tells
// the session before it does anything else. Idempotent.
func (c *Conn) end(how state, reason Reason) {
	c.mu.Lock()
	if c.state == gone || c.state != open && how != gone {
		c.mu.Unlock()
		return
	}
	c.state, c.muted = how, true
	if how == gone {
		c.sealed = true
		c.empty()
	}
	c.mu.Unlock()
	c.tell(reason)
	if how == gone {
		c.letGoOfTransports()
		return
	}
	c.mu.Lock()
	if c.state == gone {
		c.mu.Unlock()
		return
	}
	c.sealed = true
	c.setTimer(c.srv.opts.CloseTimeout)
	polling, unreachable := c.ws == nil, how == failed && !c.polling
	if polling {
		c.add(run{frames: closePacket})
	}
	c.deliver()
	c.mu.Unlock()
	if !polling || how == failed {
		c.release() // else the client polls: it keeps its id and its place
	}
	if polling && unreachable { // no poll will ever fetch the rest
		c.CloseNow()
	}
}

// tell tells the session of the end. Idempotent.
func (c *Conn) tell(reason Reason) {
	c.mu.Lock()
	session, told := c.session, c.isTold
	c.isTold, c.muted = true, true
	c.mu.Unlock()
	if told {
		return
	}
	defer close(c.told)
	if session != nil { // else Server.open tells it
		session.Closed(reason)
	}
}

// release frees the connection's id and its place. Idempotent.
func (c *Conn) release() {
	c.mu.Lock()
	released := c.released
	c.released = true
	c.mu.Unlock()
	if released {
		return
	}
	c.srv.forget(c)
	c.srv.opts.Observer.ConnectionClosed()
	c.srv.leave(c.address)
}

// letGoOfTransports is the last step of the end, when nothing is queued any more.
func (c *Conn) letGoOfTransports() {
	c.mu.Lock()
	conn, candidate, flush := c.ws, c.candidate, c.flush
	c.flush, c.candidate = nil, nil
	if c.timer != nil {
		c.timer.Stop()
	}
	c.wakePoll()
	if c.abort != nil {
		c.abort(time.Now().Add(closeWriteTimeout))
	}
	c.mu.Unlock()
	if flush != nil {
		flush.done()
	}
	c.release()
	if conn != nil {
		conn.Close()
	}
	if candidate != nil { // its reading goroutine ends, and closes it
		socketOf(candidate).SetDeadline(time.Unix(0, 0))
	}
	c.srv.remove(c)
	close(c.over)
}

// Violation ends the connection of a client that broke the protocol, as Node does.
// The session is told at once, the client after a delay: breaking the protocol in a
// loop of reconnects is to be expensive. It is for the goroutine that handles the
// client's packets, and waits.
func (c *Conn) Violation() {
	c.srv.opts.Observer.Refusal(invalidPacket)
	c.tell(Closed)
	if c.srv.opts.PacketsPerSecond > 0 {
		c.pause(violationDelay)
	}
	c.Close()
}

// disconnectSlow ends the connection of a client that does not keep up.
func (c *Conn) disconnectSlow(why string) {
	c.mu.Lock()
	first := c.state != gone && !c.discarded
	c.mu.Unlock()
	c.CloseNow()
	c.mu.Lock()
	if c.abort != nil {
		c.abort(time.Now())
	}
	c.mu.Unlock()
	if first {
		c.reportSlow(why)
	}
}

// reportSlow counts and logs a client that does not keep up.
func (c *Conn) reportSlow(why string) {
	c.srv.opts.Observer.SlowDisconnect()
	c.srv.opts.Log.Warn("client cut off: it does not read", "socket", c.session, "why", why)
}
