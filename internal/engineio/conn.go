package engineio

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Conn is one client's connection, over its whole life. All methods are safe for
// concurrent use, and none waits for the client unless it says so.
type Conn struct {
	srv      *Server
	session  Session // set by Server.open before anything is read, with mu
	protocol int     // 3 or 4
	id       string
	query    []parameter // of the handshake: what is read of it later
	address  string
	encoding encoding      // of polling
	jsonp    bool          // polling by script
	told     chan struct{} // closed when the session has been told of the end
	over     chan struct{} // closed when the connection is let go of
	reading  limits        // of the goroutine that handles packets

	mu      sync.Mutex // guards all below
	out     outbox
	carrier carrier
	timer   timer
	life    lifetime
}

// carrier is what carries a connection: polls and posts, or a WebSocket. Its Conn's mu
// guards it.
type carrier struct {
	ws        *websocket.Conn // the current transport; nil: polling
	candidate *websocket.Conn // probing, not yet upgraded to
	abort     func(time.Time) // ends the writing of a poll's answer at a time; nil: none is written
	poll      chan struct{}   // closed to wake the waiting poll; nil: none waits
	polling   bool            // a GET is being handled
	posted    chan struct{}   // closed when the POST that is being handled has been; nil: there is none
}

// wakePoll lets the waiting poll take what there is.
func (t *carrier) wakePoll() {
	if t.poll != nil {
		close(t.poll)
		t.poll = nil
	}
}

// abortPoll ends the writing of a poll's answer at a time.
func (t *carrier) abortPoll(at time.Time) {
	if t.abort != nil {
		t.abort(at)
	}
}

// handshake is what a connection is made from.
type handshake struct {
	query   url.Values
	address string
	ws      *websocket.Conn // nil: polling
}

// openPacket is what a client is told first. The order of the fields is Node's:
// some clients search the text instead of parsing it, and expect the sid first.
func (o *Options) openPacket(id string, upgrades bool) []byte {
	hello := struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{id, []string{}, o.PingInterval.Milliseconds(), o.PingTimeout.Milliseconds(), o.MaxBody}
	if upgrades {
		hello.Upgrades = []string{WebSocket}
	}
	text, _ := json.Marshal(hello) // strings and numbers always marshal
	return AppendText(nil, []byte{'0'}, text)
}

// ID is what the client goes on with: whoever knows it is that client.
func (c *Conn) ID() string { return c.id }

// Protocol is 3 or 4.
func (c *Conn) Protocol() int { return c.protocol }

// Network is what the client's address counts under.
func (c *Conn) Network() string { return c.srv.opts.Network(c.address) }

// Address is the client's.
func (c *Conn) Address() string { return c.address }

// A parameter is one of a query.
type parameter struct{ name, value string }

// jsonpIndex is the query's parameter with which a client polls by script.
const jsonpIndex = "j"

// keep is what a connection keeps of its handshake's query: the first value of each
// parameter that is read later, copied, since it is a part of the whole query.
func (o *Options) keep(query url.Values) (kept []parameter) {
	for name, values := range query {
		if o.Parameters == nil || name == jsonpIndex || slices.Contains(o.Parameters, name) {
			kept = append(kept, parameter{strings.Clone(name), strings.Clone(values[0])})
		}
	}
	return slices.Clip(kept)
}

// Query is what is kept of the query that the client came with.
func (c *Conn) Query() url.Values {
	query := make(url.Values, len(c.query))
	for _, p := range c.query {
		query.Set(p.name, p.value)
	}
	return query
}

// Done is closed when the connection is over.
func (c *Conn) Done() <-chan struct{} { return c.over }

// Transport is the current one.
func (c *Conn) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carrier.ws != nil {
		return WebSocket
	}
	return Polling
}

// Mute lets nothing that the client sends be handled any more.
func (c *Conn) Mute() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.life.muted = true
}

// isMuted reports whether nothing that the client sends is handled any more.
func (c *Conn) isMuted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life.muted || c.life.sealed
}
