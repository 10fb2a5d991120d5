package wire

import (
	"net/url"
	"time"

	"github.com/zishang520/socket.io/v2/socket"

	"rollcall/rooms"
)

// This file is a session's CONNECT: from the client through the library to the
// domain, and back.

// connect passes CONNECT on, once.
func (s *session) connect(data []byte) {
	s.mu.Lock()
	again := s.phase != waiting
	if !again {
		s.phase = connecting
	}
	s.mu.Unlock()
	if again {
		s.violation()
		return
	}
	// On a goroutine of its own: the library needs a deep stack, which would stay
	// as large for the reading one.
	go s.forward(data)
}

func (s *session) forward(data []byte) {
	l := s.link
	defer l.survive()
	err := l.forward(data)
	if err != nil { // the library has no entropy: nothing else fails here
		l.srv.opts.Log.Error("CONNECT failed", "error", err)
		l.drop()
	}
	if l.hasEnded() { // maybe before there was this session
		s.end(rooms.Closed)
	}
}

// foreign tells whether a CONNECT is for another namespace than the main one. In
// protocol 3 the name may carry a query, as part of a URL.
func (s *session) foreign(p *packet) bool {
	if s.link.protocol == 3 {
		u, err := url.Parse(p.namespace)
		if err != nil {
			u = &url.URL{} // the library's answer has no name then
		}
		p.namespace = u.Path
	}
	return p.namespace != "/"
}

// refuse answers a CONNECT to a namespace that there is not, after the answer to
// one that is under way.
func (s *session) refuse(namespace string) {
	if s.current() == connecting {
		<-s.settled
	}
	if namespace != "" {
		namespace += ","
	}
	s.link.send(appendFrame(nil, opText, []byte("44"), []byte(namespace), []byte(`{"message":"Invalid namespace"}`)), nil)
}

// connect asks the handler whether a new socket may come in. It runs in the
// library's middleware, before CONNECT is answered.
func connect(sock *socket.Socket) *socket.ExtendedError {
	l := sock.Conn().Transport().(*stay).link
	s := l.session.Load()
	sock.SetData(s)
	s.mu.Lock()
	s.id = string(sock.Id())
	if l.protocol == 3 { // the library's is the sid
		s.id = l.public
	}
	s.mu.Unlock()
	auth, _ := sock.Handshake().Auth.(map[string]any)
	domain, err := l.srv.handler.Connect(s, rooms.Handshake{Query: l.handshakeQuery(), Auth: auth, Address: l.srv.opts.Network(l.address)})
	if err != nil {
		code, message := explain(err)
		l.srv.opts.Observer.Refusal(code)
		s.end(rooms.Closed)
		return socket.NewExtendedError(code, map[string]any{"ok": false, "error": code, "message": message})
	}
	s.mu.Lock()
	s.domain = domain
	late := s.phase == ended
	s.mu.Unlock()
	if late { // it was lost while the handler decided
		domain.Disconnect(rooms.Closed)
		return socket.NewExtendedError("closed", nil)
	}
	return nil
}

// bind runs when the library has queued CONNECT, the last thing that it does for
// the client: from now on events flow, past it.
func bind(sock *socket.Socket) {
	st, s := sock.Conn().Transport().(*stay), sock.Data().(*session)
	st.leave() // before the client can come back
	s.mu.Lock()
	if s.phase == connecting {
		s.phase = connected
		s.link.sendKept()
		s.carrier, s.since = s.link.Name(), time.Now()
		s.link.srv.opts.Observer.SessionOpened(s.carrier, s.protocol())
		s.link.srv.opts.Log.Info("connected", "socket", s.id, "address", s.link.address,
			"transport", s.carrier, "protocol", s.protocol())
		close(s.settled)
	}
	s.mu.Unlock()
	st.end()
	// If it was lost while the library connected it, the library has listed the
	// socket after it had forgotten the stay, and would for good.
	sock.Disconnect(false)
}
