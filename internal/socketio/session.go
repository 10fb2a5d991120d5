package socketio

import (
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"rollcall/internal/engineio"
	"rollcall/rooms"
)

// phase is how far a session has come; it only moves forward.
type phase int

const (
	connecting phase = iota // CONNECT is with the library
	connected               // events are handled
	ended                   // refused, left or lost
)

// session is one client in one namespace: a rooms.Conn from CONNECT to DISCONNECT.
type session struct {
	client    *client
	namespace string
	settled   chan struct{}   // closed when connecting is over, either way
	out       engineio.Stream // held back until CONNECT is answered

	mu        sync.Mutex // guards all below
	id        string
	phase     phase
	domain    rooms.Session // set before the phase is connected; nil: not taken
	transport string        // that it is counted under
	since     time.Time
}

func newSession(c *client, namespace string) *session {
	return &session{client: c, namespace: namespace, settled: make(chan struct{}), out: c.conn.NewStream()}
}

// connect takes a CONNECT through the library. It returns when that is done.
func (s *session) connect(data []byte) {
	c := s.client
	defer func() {
		if p := recover(); p != nil {
			c.srv.opts.Log.Error("panic while connecting", "panic", p, "stack", string(debug.Stack()))
			c.conn.CloseNow()
		}
	}()
	c.srv.library.connect(s, data)
}

// admit asks the handler whether the session may come in, before CONNECT is
// answered. id is the library's for the socket.
func (s *session) admit(id string, auth map[string]any) error {
	conn := s.client.conn
	if own := s.client.publicID; own != "" { // the library's would be the connection's, a secret
		id = own
	}
	s.mu.Lock()
	s.id = id
	s.mu.Unlock()
	domain, err := s.client.srv.handler.Connect(s, rooms.Handshake{Query: conn.Query(), Auth: auth, Address: conn.Network()})
	if err != nil {
		s.end(rooms.Closed)
		return err
	}
	s.mu.Lock()
	s.domain = domain
	late := s.phase == ended
	s.mu.Unlock()
	if late { // it was lost while the handler decided
		domain.Disconnect(rooms.Closed)
		return errLost
	}
	return nil
}

var errLost = errors.New("closed")

// answered is called when CONNECT is queued: from now on events flow.
func (s *session) answered() {
	c := s.client
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != connecting {
		return
	}
	s.phase = connected
	c.connected()
	s.out.Open()
	s.transport, s.since = c.conn.Transport(), time.Now()
	c.srv.opts.Observer.SessionOpened(s.transport, c.protocol())
	c.srv.opts.Log.Info("connected", "socket", s.id, "address", c.conn.Address(),
		"transport", s.transport, "protocol", c.protocol())
	close(s.settled)
}

// ID implements rooms.Conn.
func (s *session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// ClientID implements rooms.Conn. A client of protocol 3 takes the id of its
// connection for its socket's.
func (s *session) ClientID() string {
	if s.client.conn.Protocol() == 3 {
		return s.client.conn.ID()
	}
	return s.ID()
}

// Send implements rooms.Conn. It takes no lock of the session: the connection may wait
// for room among the queues of all.
func (s *session) Send(f rooms.Frames) { s.out.Send(f) }

// disconnectPacket is what tells a client that the server meant it.
var disconnectPacket = engineio.AppendText(nil, []byte{'4', typeDisconnect})

// Close implements rooms.Conn.
func (s *session) Close(again bool) {
	if !again {
		s.Send(disconnectPacket)
	}
	s.client.conn.Mute()
	// On its own goroutine: it calls the domain, which calls this.
	go s.client.conn.Close()
}

// end is the end of the session, whatever brought it. Idempotent.
func (s *session) end(reason rooms.Reason) {
	s.mu.Lock()
	if s.phase == ended {
		s.mu.Unlock()
		return
	}
	opts := &s.client.srv.opts
	if s.phase == connecting {
		close(s.settled)
	} else {
		opts.Observer.SessionClosed(s.transport, s.client.protocol())
		opts.Log.Info("disconnected", "socket", s.id, "reason", string(reason),
			"transport", s.transport, "after", time.Since(s.since).Round(time.Millisecond))
	}
	s.phase = ended
	s.out.Close()
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
	if s.phase == connected && s.transport == engineio.Polling {
		s.transport = engineio.WebSocket
		s.client.srv.opts.Observer.SessionUpgraded(s.client.protocol())
	}
}

// awaitConnected waits until connecting is over and reports whether the session
// lives.
func (s *session) awaitConnected() bool {
	<-s.settled
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == connected
}
