package engineio

import (
	"context"
	"maps"
	"slices"
	"time"
)

// This file is how a connection ends, and how the server does.

// state is how far a connection's end has come; it only moves forward.
type state uint8

const (
	open    state = iota
	leaving       // orderly: what is queued is written, over polling to the polls to come
	failed        // what is queued is written to the transport that is open
	gone          // nothing is read or written any more
)

// lifetime is how far a connection's end has come. Its Conn's mu guards it.
type lifetime struct {
	state     state
	muted     bool // nothing that the client sends is handled any more
	sealed    bool // nothing more is queued
	discarded bool // its queue is, to make room for others
	released  bool // its id and its place are free
	told      bool // the session is told of the end, or just being told
	said      bool // the session has sent something since
}

// hasQueue reports whether what is queued can still be written.
func (l *lifetime) hasQueue() bool { return l.state != gone && !l.discarded }

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
	if c.life.state == gone || c.life.state != open && how != gone {
		c.mu.Unlock()
		return
	}
	c.life.state, c.life.muted = how, true
	if how == gone {
		c.life.sealed = true
		c.out.empty()
	}
	c.mu.Unlock()
	c.tell(reason)
	if how == gone {
		c.letGo()
		return
	}
	c.mu.Lock()
	if c.life.state == gone {
		c.mu.Unlock()
		return
	}
	c.life.sealed = true
	c.timer.set(c, c.srv.opts.CloseTimeout)
	polling, unreachable := c.carrier.ws == nil, how == failed && !c.carrier.polling
	fetched := polling && c.carrier.poll != nil && len(c.out.queue) == 0 // by the poll that waits
	if polling {
		c.out.push(closePacket)
		c.out.count(1, closePacket)
	}
	c.deliver()
	c.mu.Unlock()
	if !polling || how == failed || fetched {
		c.release() // else the client polls again: it keeps its id and its place
	}
	if polling && unreachable { // no poll will ever fetch the rest
		c.CloseNow()
	}
}

// tell tells the session of the end. Idempotent.
func (c *Conn) tell(reason Reason) {
	c.mu.Lock()
	session, told := c.session, c.life.told
	c.life.told, c.life.muted = true, true
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
	released := c.life.released
	c.life.released = true
	c.mu.Unlock()
	if released {
		return
	}
	c.srv.forget(c)
	c.srv.opts.Observer.ConnectionClosed()
	c.srv.leave(c.address)
}

// letGo is the last step of the end, when nothing is queued any more.
func (c *Conn) letGo() {
	c.mu.Lock()
	ws, candidate, flush := c.carrier.ws, c.carrier.candidate, c.out.flush
	c.out.flush, c.carrier.candidate = nil, nil
	if c.timer.Timer != nil {
		c.timer.Stop()
	}
	c.carrier.wakePoll()
	c.carrier.abortPoll(time.Now().Add(closeWriteTimeout))
	c.mu.Unlock()
	flush.done()
	c.release()
	if ws != nil {
		ws.Close()
	}
	if candidate != nil { // its reading goroutine ends, and closes it
		socketOf(candidate).SetDeadline(time.Unix(0, 0))
	}
	c.srv.remove(c)
	close(c.over)
}

// Violation ends the connection of a client that broke the protocol, as Node does. The
// session is told at once, the client after a delay, which makes reconnect loops
// expensive. It waits, and is for the goroutine that handles the client's packets.
func (c *Conn) Violation() {
	c.srv.opts.Observer.Refusal(invalidPacket)
	c.tell(Closed)
	if c.srv.opts.PacketsPerSecond > 0 {
		wait(c.over, violationDelay)
	}
	c.Close()
}

// disconnectSlow ends the connection of a client that does not keep up.
func (s *Server) disconnectSlow(c *Conn, why string) {
	c.mu.Lock()
	first := c.life.hasQueue()
	c.mu.Unlock()
	c.CloseNow()
	c.mu.Lock()
	c.carrier.abortPoll(time.Now())
	c.mu.Unlock()
	if first {
		s.reportSlow(c, why)
	}
}

// reportSlow counts and logs a client that does not keep up.
func (s *Server) reportSlow(c *Conn, why string) {
	s.opts.Observer.SlowDisconnect()
	s.opts.Log.Warn("client cut off: it does not read", "socket", c.session, "why", why)
}

const (
	// stopTimeout is how long Stop waits for clients to take their close. Those that
	// are there answer at once, or poll again at once.
	stopTimeout = time.Second
	// stopGrace is how long Stop goes on when ctx has ended: closing waits for nobody,
	// unless a session is stuck.
	stopGrace = 100 * time.Millisecond
	// stopPause is the longest time between two closes: few do not take long.
	stopPause = 2 * time.Millisecond
)

// Stop rejects new connections and closes the existing ones, spread over a time at most,
// so that they do not all come back at once. With a spread it first calls announce, if
// not nil, for each one with the time until it is closed. Connections that are not over a
// second after the last close are dropped. When Stop returns all are over, unless a
// session, which is told of its end, takes longer than ctx.
func (s *Server) Stop(ctx context.Context, spread time.Duration, announce func(Session, time.Duration)) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop(ctx, spread, announce)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		wait(stopped, stopGrace)
	}
}

// stop is Stop, but waits for the sessions.
func (s *Server) stop(ctx context.Context, spread time.Duration, announce func(Session, time.Duration)) {
	s.mu.Lock()
	s.stopping = true
	conns := slices.Collect(maps.Values(s.conns)) // in no order
	s.mu.Unlock()
	spread = min(spread, stopPause*time.Duration(len(conns)))
	began := time.Now()
	// closeAt is when the i-th is closed.
	closeAt := func(i int) time.Duration { return spread * time.Duration(i) / time.Duration(len(conns)) }
	if spread > 0 && announce != nil {
		for i, c := range conns {
			announce(c.session, closeAt(i))
		}
	}
	for i, c := range conns {
		wait(ctx.Done(), closeAt(i)-time.Since(began))
		c.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for _, c := range conns {
		select {
		case <-c.over:
		case <-ctx.Done():
			c.CloseNow()
		}
		<-c.told
	}
}
