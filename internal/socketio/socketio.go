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
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"sync"
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
	Observer       Observer
}

func (o Options) withDefaults() Options {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Observer = cmp.Or[Observer](o.Observer, noObserver{})
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
	s.library = newLibrary()
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

// Encode implements rooms.Sender: all events in one run of frames.
func (s *Server) Encode(events ...rooms.Event) rooms.Frames {
	size := 0
	for _, e := range events {
		size += len(e.Name) + 24
		for _, arg := range e.Args {
			size += len(arg) + 1
		}
	}
	b := make([]byte, 0, size)
	for _, e := range events {
		b = appendEvent(b, e)
	}
	return b
}

// settleTimeout bounds how long Fanout waits for its writes.
const settleTimeout = 250 * time.Millisecond

// Fanout implements rooms.Sender. The same bytes go to every receiver, written here
// and now to those that are idle. If a socket cannot take all bytes at once, a writer
// goroutine continues; Fanout waits for those up to settleTimeout. A client that is
// still busy with an earlier flush is slow by itself and must not slow the others.
func (s *Server) Fanout(deliveries []rooms.Delivery) time.Duration {
	start := time.Now()
	flush := engineio.NewFlush()
	for _, d := range deliveries {
		run := engineio.Shared(d.Frames)
		eachCore(d.To, func(c rooms.Conn) { c.(*session).out.Write(run, flush) })
	}
	flush.Wait(settleTimeout)
	return time.Since(start)
}

// fewConns is how many are not worth being shared out: a write takes some 10 µs,
// starting a goroutine one.
const fewConns = 16

// eachCore does something for each, shared out among the cores, and waits.
func eachCore(conns []rooms.Conn, do func(rooms.Conn)) {
	shares := min(runtime.GOMAXPROCS(0), 1+len(conns)/fewConns)
	var working sync.WaitGroup
	work := func(share []rooms.Conn) {
		for _, c := range share {
			do(c)
		}
	}
	for i := range shares - 1 {
		working.Go(func() { work(conns[i*len(conns)/shares : (i+1)*len(conns)/shares]) })
	}
	work(conns[(shares-1)*len(conns)/shares:])
	working.Wait()
}
