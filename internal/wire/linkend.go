package wire

import (
	"time"

	"rollcall/rooms"
)

// This file is the ends of a link: an orderly close, a fault of its client, a client
// that does not read, and drop, which all of them come to.

// close begins an orderly close: the session ends, and what is queued is written.
// Over polling the connection lives until the client has fetched it.
func (l *link) close() { l.shut(true) }

// fail ends the session for a fault of its client's, and the connection when what
// is queued has been written. In an orderly close nothing counts as a fault any
// more, but silence.
func (l *link) fail(reason rooms.Reason) {
	l.mu.Lock()
	if l.ended || l.closing && reason != rooms.Timeout {
		l.mu.Unlock()
		return
	}
	l.reason = reason
	l.mu.Unlock()
	l.end()
	l.shut(false)
}

// stopReceiving is the end of what the client sends: of packets that come later,
// over any transport, none is handled.
func (l *link) stopReceiving() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
}

// shut lets nothing more be queued, and sees that what is queued leaves and that
// the connection ends.
func (l *link) shut(orderly bool) {
	l.mu.Lock()
	if l.dropped || l.linger != nil {
		l.mu.Unlock()
		return
	}
	l.closing = true
	l.linger = time.AfterFunc(l.srv.opts.CloseTimeout, l.drop)
	polling, unreachable := l.ws == nil, !orderly && !l.polling
	if polling {
		l.fetching = orderly
		l.add(run{frames: closePacket})
	}
	l.deliver()
	l.mu.Unlock()
	switch {
	case polling && orderly: // it keeps its id and its place: its client polls
		l.session.Load().end(rooms.Closed)
	case orderly:
		l.end()
	case polling && unreachable: // its id is forgotten: no poll will ever fetch the rest
		l.drop()
	}
}

var (
	closePacket = appendFrame(nil, opText, []byte{'1'})
	noopPacket  = appendFrame(nil, opText, []byte{'6'})
	closeFrame  = appendFrame(nil, opClose)
)

// end ends the session. Idempotent.
func (l *link) end() {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
	st, reason := l.stay, l.reason
	l.stay = nil
	l.mu.Unlock()
	l.srv.heartbeat.forget(l)
	l.srv.forget(l)
	l.session.Load().end(reason)
	l.srv.opts.Observer.ConnectionClosed()
	l.srv.leave(l.address)
	close(l.done)
	if st != nil {
		st.end()
	}
}

// drop ends the link at once and lets go of everything. It waits for no client.
// Idempotent.
func (l *link) drop() {
	l.mu.Lock()
	if l.dropped {
		l.mu.Unlock()
		return
	}
	l.dropped, l.closing = true, true
	conn, candidate, settle := l.ws, l.candidate, l.settle
	l.empty()
	l.settle, l.candidate = nil, nil
	if l.linger != nil {
		l.linger.Stop()
	}
	l.wakePoll()
	l.mu.Unlock()
	if settle != nil {
		settle.done()
	}
	l.end()
	l.abortPoll(time.Now().Add(hangUpTime))
	if conn != nil {
		conn.Close()
	}
	if candidate != nil { // what waits for it does no more, and closes it
		socketOf(candidate).SetDeadline(time.Unix(0, 0))
	}
	l.srv.released(l)
	close(l.over)
}

// cutOff ends a link whose client does not keep up.
func (l *link) cutOff(why string) {
	l.mu.Lock()
	gone := l.dropped || l.discarded
	l.mu.Unlock()
	l.drop()
	l.abortPoll(time.Now())
	if gone {
		return
	}
	l.tellSlow(why)
}

// tellSlow counts and logs a client that does not keep up.
func (l *link) tellSlow(why string) {
	l.srv.opts.Observer.SlowDisconnect()
	l.srv.opts.Log.Warn("client cut off: it does not read", "socket", l.session.Load().ID(), "why", why)
}
