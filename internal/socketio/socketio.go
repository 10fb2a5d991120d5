// Package socketio is Socket.IO over engineio: it turns connections of any client
// from 1.x to 4.x into sessions that deliver whole events in order, and it sends the
// frames that the domain hands it. Nothing here knows what an event means.
//
// A client is one connection with its sessions, one a namespace; only "/" exists.
// A session is a rooms.Conn from CONNECT to DISCONNECT.
//
// All contact with github.com/zishang520/socket.io/v2 (v2.5.0) happens in library.go.
// The library makes session ids and answers CONNECT; after that it is let go of, so
// that a connected client costs none of its objects and goroutines. What is frequent,
// lasting or was found faulty is ours.
package socketio

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"rollcall/internal/engineio"
	"rollcall/rooms"
)

// Handler is the domain, as sessions see it. Different sessions call it
// concurrently. Of what it returns Disconnect is called exactly once.
type Handler interface {
	// Connect takes a socket, before any of its events. An error refuses it: a
	// *rooms.Refusal is shown to the client as the connect error.
	Connect(rooms.Conn, rooms.Handshake) (rooms.Session, error)
}

// Observer is told what happens, for metrics. Calls must not block. Transports
// are "polling" and "websocket", protocols "3" and "4".
type Observer interface {
	engineio.Observer
	SessionOpened(transport, protocol string)
	SessionUpgraded(protocol string)
	SessionClosed(transport, protocol string)
	EventIn(event string)
}

// Options configure a Server. The zero value of each field means its default.
type Options struct {
	// Options are those of the connections, but for NewID and Observer.
	engineio.Options
	// MaxAttachments bounds the binary arguments of one event, in bytes. By default
	// none are kept: the domain is told only how many there were.
	MaxAttachments int
	// SettleTimeout bounds how long Fanout waits for its writes: 250 ms.
	SettleTimeout time.Duration
	Observer      Observer
}

func (o Options) withDefaults() Options {
	if o.SettleTimeout == 0 {
		o.SettleTimeout = 250 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	o.Options.Observer = o.Observer
	return o
}

type noObserver struct{ engineio.NoObserver }

func (noObserver) SessionOpened(string, string) {}
func (noObserver) SessionUpgraded(string)       {}
func (noObserver) SessionClosed(string, string) {}
func (noObserver) EventIn(string)               {}

// Server is the Socket.IO endpoint: an http.Handler for /socket.io/, and the
// rooms.Sender for what goes out. Safe for concurrent use.
type Server struct {
	*engineio.Server
	opts    Options
	handler Handler // set by Serve
	library *library
	answer  func(s *session, p *packet, event string, reply map[string]any, err error) // but in tests (*session).answer
}

var _ rooms.Sender = (*Server)(nil)

// New makes a server, which needs Serve before it can take requests.
func New(opts Options) *Server {
	s := &Server{opts: opts.withDefaults(), answer: (*session).answer}
	s.library = newLibrary(s.explainRefusal)
	s.opts.NewID = s.library.newID
	s.Server = engineio.New(s.opts.Options, s.accept)
	return s
}

// Serve sets the domain. Call it before the first request comes in.
func (s *Server) Serve(handler Handler) { s.handler = handler }

// Stop is engineio.Server.Stop. With a spread each client is told when it will be closed
// (server_closing {in}, milliseconds). Clients see a closed transport, not a disconnect,
// and so connect again elsewhere.
func (s *Server) Stop(ctx context.Context, spread time.Duration) {
	s.Server.Stop(ctx, spread, func(session engineio.Session, in time.Duration) {
		args := encode(map[string]int64{"in": in.Milliseconds()})
		session.(*client).sendToAll(appendEvent(nil, rooms.Event{Name: "server_closing", Args: []json.RawMessage{args}}))
	})
}
