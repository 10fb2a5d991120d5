// Package engineio is a server for messages: Engine.IO protocol 3 and 4, over
// polling and WebSocket. It makes a Conn of every client, hands the client's
// messages to the Conn's Session, one at a time and in order, and sends what the
// layer above gives it. It knows nothing of what is in a message.
//
// A Conn is one client over its whole life, also over the upgrade from polling to
// WebSocket. Its one bounded queue leaves by the current transport. It ends through
// Close, which writes what is queued, or CloseNow, which waits for nobody (end.go).
//
// The way in: websocket.go or polling.go (payload.go) → receive.go → Session. The way
// out: Conn.Send or Conn.Write (write.go) → a writer, or polling.go (encoding.go).
package engineio

import (
	"cmp"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"time"

	"rollcall/internal/memory"
)

// Session is what a Conn's messages go to. Text, Binary and Upgraded are called by
// one goroutine at a time; Closed may be called beside them.
type Session interface {
	// Text takes a text message, which is valid until it returns.
	Text([]byte)
	// Binary takes a binary message, which is valid until it returns.
	Binary([]byte)
	// Upgraded tells that the connection goes on over WebSocket.
	Upgraded()
	// Closed tells of the end, exactly once and before the Conn waits for anything.
	// What it sends to the client is the last that is sent, if there is time for it.
	Closed(Reason)
	slog.LogValuer // as what it appears in the log
}

// Reason tells why a connection has ended.
type Reason struct {
	Code    string
	Message string // what the client did wrong; "": it need not be told
}

// The reasons without a message.
var (
	Closed  = Reason{Code: "closed"}
	Timeout = Reason{Code: "timeout"}
)

// Observer is told what happens, for metrics. Calls must not block.
type Observer interface {
	ConnectionOpened()
	ConnectionClosed()
	// Out tells of frames and their bytes that were written to one client.
	Out(frames, bytes int)
	Refusal(code string)
	SlowDisconnect()
}

// The transports, as clients name them.
const (
	Polling   = "polling"
	WebSocket = "websocket"
)

// Options configure a Server. The zero value of each field means its default.
type Options struct {
	// MaxMessage bounds one inbound message in bytes: 64 KiB.
	MaxMessage int
	// MaxBody bounds one polling request's body in bytes: 1,000,000. It is also
	// the maxPayload that clients are told.
	MaxBody int
	// MaxQueue bounds what waits to be sent to one client, in bytes: 4 MiB.
	MaxQueue int
	// MaxQueues bounds what waits to be sent to all clients together, in bytes:
	// 128 MiB. Over it those with the longest queues are disconnected.
	MaxQueues int64
	// Inbound bounds what all clients together are sending, of what has been
	// received and not yet handled: 64 MiB.
	Inbound *memory.Budget
	// PacketsPerSecond and PacketsBurst limit the packets of one client: what
	// Conn.Limit is asked about, and all others; 0: no limit.
	PacketsPerSecond, PacketsBurst int
	// MaxConnections limits the connections in all; 0: no limit.
	MaxConnections int
	// MaxPerAddress limits the connections from one address; 0: no limit.
	MaxPerAddress int
	// Address names a request's client: by default its RemoteAddr's host.
	Address func(*http.Request) string
	// Network names what an address counts under: by default itself.
	Network func(address string) string
	// Parameters are those of a handshake's query that Conn.Query returns: others are
	// not kept for it. Default: all are.
	Parameters []string
	// NoJSONP refuses polling by script, whose answers any page can read.
	NoJSONP bool
	// Polls is told of each request that carries a session over polling.
	Polls func(*http.Request)
	// OriginAllowed reports whether the page that a request comes from may
	// connect: by default all may.
	OriginAllowed func(*http.Request) bool
	// NewID makes the id of a connection, with which a client goes on as that
	// client: by default 26 random letters and digits.
	NewID func() string
	// PingInterval and PingTimeout: 25 s and 20 s.
	PingInterval, PingTimeout time.Duration
	// UpgradeTimeout bounds an upgrade from polling to WebSocket: 10 s.
	UpgradeTimeout time.Duration
	// CloseTimeout bounds an orderly close: how long a polling client has to
	// fetch the rest, or a WebSocket client to answer. 5 s.
	CloseTimeout time.Duration
	// WriteTimeout is for how long a client may take nothing of what is written to
	// it, before it is disconnected: 15 s.
	WriteTimeout time.Duration

	Log      *slog.Logger
	Observer Observer
}

func (o Options) withDefaults() Options {
	o.MaxMessage = cmp.Or(o.MaxMessage, 64<<10)
	o.MaxBody = cmp.Or(o.MaxBody, 1_000_000)
	o.MaxQueue = cmp.Or(o.MaxQueue, 4<<20)
	o.MaxQueues = cmp.Or(o.MaxQueues, 128<<20)
	o.PingInterval = cmp.Or(o.PingInterval, 25*time.Second)
	o.PingTimeout = cmp.Or(o.PingTimeout, 20*time.Second)
	o.UpgradeTimeout = cmp.Or(o.UpgradeTimeout, 10*time.Second)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, 5*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 15*time.Second)
	o.Inbound = cmp.Or(o.Inbound, memory.NewBudget(64<<20))
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Observer = cmp.Or[Observer](o.Observer, NoObserver{})
	o.PacketsBurst = max(o.PacketsBurst, o.PacketsPerSecond)
	if o.Address == nil {
		o.Address = func(r *http.Request) string {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			return host
		}
	}
	if o.Network == nil {
		o.Network = func(address string) string { return address }
	}
	if o.NewID == nil {
		o.NewID = rand.Text
	}
	if o.Polls == nil {
		o.Polls = func(*http.Request) {}
	}
	if o.OriginAllowed == nil {
		o.OriginAllowed = func(*http.Request) bool { return true }
	}
	return o
}

// NoObserver ignores what it is told.
type NoObserver struct{}

func (NoObserver) ConnectionOpened() {}
func (NoObserver) ConnectionClosed() {}
func (NoObserver) Out(int, int)      {}
func (NoObserver) Refusal(string)    {}
func (NoObserver) SlowDisconnect()   {}

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
