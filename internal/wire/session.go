package wire

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"sync"
	"time"

	"rollcall/rooms"
)

// phase is how far a session has come; it only moves forward.
type phase int

const (
	waiting    phase = iota // no CONNECT yet
	connecting              // CONNECT is with the library
	connected               // events are handled
	ended                   // refused, left or lost
)

// session is one client in the main namespace: a rooms.Conn from CONNECT to
// DISCONNECT. A link has one at a time.
type session struct {
	link    *link
	settled chan struct{} // closed when connecting is over, either way

	// Of the reading goroutine alone:
	partial *packet // a binary packet whose attachments are still coming
	missing int     // how many

	mu      sync.Mutex // guards all below
	id      string
	phase   phase
	domain  rooms.Session // set before the phase is connected; nil: not taken
	carrier string        // the transport it is counted under
	since   time.Time
}

var _ rooms.Conn = (*session)(nil)

func newSession(l *link) *session {
	return &session{link: l, settled: make(chan struct{})}
}

// ID implements rooms.Conn.
func (s *session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// ClientID implements rooms.Conn. A client of protocol 3 takes the sid of its
// connection for its socket's id.
func (s *session) ClientID() string {
	if s.link.protocol == 3 {
		return s.link.sid
	}
	return s.ID()
}

// newSocketID makes an id that looks like the library's.
func newSocketID() string {
	b := make([]byte, 18)
	rand.Read(b) // does not fail
	return base64.RawURLEncoding.EncodeToString(b)
}

// Send implements rooms.Conn.
func (s *session) Send(f rooms.Frames) {
	if r := (run{frames: f}); s.ready(r) {
		s.link.enqueue(r, nil)
	}
}

// push is Send, but written at once if it can be.
func (s *session) push(r run, settle *settlement) {
	if s.ready(r) {
		s.link.pushRun(r, settle)
	}
}

// ready reports whether frames may be sent; before CONNECT the link keeps them
// until they may.
func (s *session) ready(r run) bool {
	s.mu.Lock()
	phase, over := s.phase, false
	if phase < connected {
		over = s.link.keep(r)
	}
	s.mu.Unlock()
	if over {
		s.link.srv.evict()
	}
	return phase == connected
}

// disconnectPacket is what tells a client that the server meant it.
var disconnectPacket = appendFrame(nil, opText, []byte{'4', typeDisconnect})

// Close implements rooms.Conn.
func (s *session) Close(again bool) {
	if !again {
		s.Send(disconnectPacket)
	}
	s.link.stopReceiving()
	// On its own goroutine: it calls the handler, which calls this.
	go s.link.close()
}

// end is the end of the session, whatever brought it. Idempotent.
func (s *session) end(reason rooms.Reason) {
	s.mu.Lock()
	if s.phase == ended {
		s.mu.Unlock()
		return
	}
	if s.phase < connected {
		close(s.settled)
	} else {
		s.link.srv.opts.Observer.SessionClosed(s.carrier, s.protocol())
		s.link.srv.opts.Log.Info("disconnected", "socket", s.id, "reason", string(reason),
			"transport", s.carrier, "after", time.Since(s.since).Round(time.Millisecond))
	}
	s.phase = ended
	s.link.dropKept()
	domain := s.domain
	s.mu.Unlock()
	if domain != nil {
		domain.Disconnect(reason)
	}
}

// upgraded counts the session under its new transport.
func (s *session) upgraded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == connected && s.carrier == overPolling {
		s.carrier = overWebSocket
		s.link.srv.opts.Observer.SessionUpgraded(s.protocol())
	}
}

func (s *session) protocol() string { return strconv.Itoa(s.link.protocol) }

// alive waits until connecting is over and tells whether the session lives.
func (s *session) alive() bool {
	<-s.settled
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == connected
}

func (s *session) current() phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase
}

// violation ends a session whose client broke the protocol, as Node does. The
// connection ends a moment later: a client that comes back to do it again has to
// wait each time.
func (s *session) violation() {
	s.link.srv.opts.Observer.Refusal("invalid_packet")
	s.link.stopReceiving()
	s.end(rooms.Closed)
	s.link.repent()
	s.link.close()
}

// text handles a Socket.IO packet. Whatever it is, it counts against the rate:
// an event over it is answered, the rest is a strike.
func (s *session) text(data []byte) {
	p, err := decodePacket(data)
	if p.kind != typeEvent && p.kind != typeBinaryEvent {
		s.link.countOther(len(data))
	}
	switch {
	case err != nil, s.missing > 0:
		s.violation()
	case p.kind == typeConnect && s.foreign(&p):
		s.refuse(p.namespace)
	case p.kind == typeConnect:
		s.connect(data)
	case p.namespace != "/", p.kind == typeConnectError, s.current() == waiting:
		s.violation()
	case !s.alive():
		s.violation()
	case p.kind == typeDisconnect:
		s.disconnect()
	case p.attachments > 0:
		s.await(p)
	default:
		s.packet(p)
	}
}

// disconnect ends the session but not the link: the client may come back to the
// namespace.
func (s *session) disconnect() {
	s.end(rooms.Closed)
	s.link.session.Store(newSession(s.link))
}
