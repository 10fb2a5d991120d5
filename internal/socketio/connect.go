package socketio

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"runtime/debug"
	"time"

	"github.com/zishang520/socket.io/v2/socket"

	"rollcall/rooms"
)

// This file is a session's CONNECT: from the client through the library to the
// domain, and back.

// connect takes a CONNECT through the library. It returns when that is done.
func (s *session) connect(data []byte) {
	c := s.client
	defer func() {
		if p := recover(); p != nil {
			c.srv.opts.Log.Error("panic while connecting", "panic", p, "stack", string(debug.Stack()))
			c.conn.CloseNow()
		}
	}()
	if err := c.srv.library.connect(s, data); err != nil { // it has no entropy: nothing else fails here
		c.srv.opts.Log.Error("CONNECT failed", "error", err)
		c.conn.CloseNow()
	}
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

// explainRefusal is the answer to the CONNECT of a session that was not admitted.
func (s *Server) explainRefusal(err error) *socket.ExtendedError {
	if err == errLost {
		return socket.NewExtendedError(errLost.Error(), nil)
	}
	code, message := explain(err)
	s.opts.Observer.Refusal(code)
	return socket.NewExtendedError(code, map[string]any{"ok": false, "error": code, "message": message})
}

// newSocketID makes an id that looks like the library's.
func newSocketID() string {
	b := make([]byte, 18)
	rand.Read(b) // does not fail
	return base64.RawURLEncoding.EncodeToString(b)
}

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
