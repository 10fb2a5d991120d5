// Package wire is Socket.IO: it turns connections of any client from 1.x to
// 4.x, over polling or WebSocket, into sessions that deliver whole events in
// order, and it sends the frames that the domain hands it.
//
// All contact with github.com/zishang520/socket.io/v2 (v2.5.0) happens in this
// package. The library makes session ids and answers CONNECT; when it has, it is
// let go of, so that a client that is connected costs none of its objects and
// goroutines (library.go). What is frequent, lasting or was found faulty is ours:
// HTTP requests and upgrades (server.go, upgrade.go), the transport (link.go,
// polling.go, websocket.go), pings (heartbeat.go), the event packets (packet.go,
// event.go) and the fan-out (frame.go, fanout.go).
//
// Data flows one way: a frame read by a link is given to its session, checked,
// and handed to the Handler in the reading goroutine; frames for the client go
// into the link's one queue and leave it by whatever transport is current.
// Nothing here knows what an event means.
package wire

import (
	"log/slog"
	"net/http"
	"time"

	"rollcall/internal/memory"
	"rollcall/rooms"
)

// Handler is the domain, as sessions see it. Different connections call it
// concurrently. Of what it returns Disconnect is called exactly once.
type Handler interface {
	// Connect takes a socket, before any of its events. An error refuses it: a
	// *rooms.Refusal is shown to the client as the connect error.
	Connect(rooms.Conn, rooms.Handshake) (rooms.Session, error)
}

// Observer is told what happens, for metrics. Calls must not block. Transports
// are "polling" and "websocket", protocols "3" and "4".
type Observer interface {
	ConnectionOpened()
	ConnectionClosed()
	SessionOpened(transport, protocol string)
	SessionUpgraded(protocol string)
	SessionClosed(transport, protocol string)
	EventIn(event string)
	Out(frames, bytes int)
	Refusal(code string)
	SlowDisconnect()
}

// Options configure a Server. The zero value of each field means its default.
type Options struct {
	// MaxMessage bounds one inbound message in bytes: 64 KiB.
	MaxMessage int
	// MaxBody bounds one polling request's body in bytes: 1,000,000. It is also
	// the maxPayload that clients are told.
	MaxBody int
	// MaxQueue bounds what waits to be sent to one socket, in bytes: 4 MiB.
	MaxQueue int
	// MaxQueues bounds what waits to be sent to all sockets together, in bytes:
	// 128 MiB. Over it those with the longest queues are disconnected.
	MaxQueues int64
	// Inbound bounds what all connections together are sending, of what has been
	// received and not yet handled: 64 MiB.
	Inbound *memory.Budget
	// EventsPerSecond and EventsBurst limit one socket's events; 0: no limit.
	EventsPerSecond, EventsBurst int
	// MaxConnections limits the connections in all; 0: no limit.
	MaxConnections int
	// MaxPerAddress limits the connections from one address; 0: no limit.
	MaxPerAddress int
	// Address names a request's client: by default its RemoteAddr's host.
	Address func(*http.Request) string
	// Network names what an address counts under: by default itself.
	Network func(address string) string
	// Parameters are those of a handshake's query that the Handler reads: others
	// are not kept for it. Default: all are.
	Parameters []string
	// NoJSONP refuses polling by script, whose answers any page can read.
	NoJSONP bool
	// Polls is told of each request that carries a session over polling.
	Polls func(*http.Request)
	// OriginAllowed tells whether the page that a request comes from may
	// connect: by default all may.
	OriginAllowed func(*http.Request) bool
	// PingInterval and PingTimeout: 25 s and 20 s.
	PingInterval, PingTimeout time.Duration
	// UpgradeTimeout bounds an upgrade from polling to WebSocket: 10 s.
	UpgradeTimeout time.Duration
	// CloseTimeout bounds an orderly close: how long a polling client has to
	// fetch the rest, or a WebSocket client to answer. 5 s.
	CloseTimeout time.Duration
	// WriteTimeout is for how long a client may take nothing of what is written to
	// it, before it is cut off: 15 s.
	WriteTimeout time.Duration
	// SettleTimeout bounds how long Fanout waits for its writes: 250 ms.
	SettleTimeout time.Duration

	Log      *slog.Logger
	Observer Observer
}

func (o Options) withDefaults() Options {
	setDefault(&o.MaxMessage, 64<<10)
	setDefault(&o.MaxBody, 1_000_000)
	setDefault(&o.MaxQueue, 4<<20)
	if o.Inbound == nil {
		o.Inbound = memory.NewBudget(64 << 20)
	}
	setDefault(&o.MaxQueues, 128<<20)
	setDefault(&o.PingInterval, 25*time.Second)
	setDefault(&o.PingTimeout, 20*time.Second)
	setDefault(&o.UpgradeTimeout, 10*time.Second)
	setDefault(&o.CloseTimeout, 5*time.Second)
	setDefault(&o.WriteTimeout, 15*time.Second)
	setDefault(&o.SettleTimeout, 250*time.Millisecond)
	o.EventsBurst = max(o.EventsBurst, o.EventsPerSecond)
	if o.Address == nil {
		o.Address = remoteHost
	}
	if o.Network == nil {
		o.Network = func(address string) string { return address }
	}
	if o.Polls == nil {
		o.Polls = func(*http.Request) {}
	}
	if o.OriginAllowed == nil {
		o.OriginAllowed = func(*http.Request) bool { return true }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// nobody observes nothing.
type nobody struct{}

func (nobody) ConnectionOpened()            {}
func (nobody) ConnectionClosed()            {}
func (nobody) SessionOpened(string, string) {}
func (nobody) SessionUpgraded(string)       {}
func (nobody) SessionClosed(string, string) {}
func (nobody) EventIn(string)               {}
func (nobody) Out(int, int)                 {}
func (nobody) Refusal(string)               {}
func (nobody) SlowDisconnect()              {}

// wait returns after d, or when done is closed, and reports whether d has passed.
func wait(done <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}
