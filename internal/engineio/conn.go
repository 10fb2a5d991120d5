package engineio

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Conn is one client's connection, over its whole life. All methods are safe for
// concurrent use, and none waits for the client.
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

	mu sync.Mutex // guards all below
	outbox
	state     state           // how far its end has come
	muted     bool            // nothing that the client sends is handled any more
	sealed    bool            // nothing more is queued
	discarded bool            // its queue is, to make room for others
	released  bool            // its id and its place are free
	isTold    bool            // the session is told of the end, or just being told
	timer     *time.Timer     // the next ping, or what ends the connection
	deadline  time.Time       // when the timer is to do something
	pinged    bool            // protocol 4: a ping is not yet answered
	ws        *websocket.Conn // the current transport; nil: polling
	candidate *websocket.Conn // probing, not yet upgraded to
	writing   bool            // a writer goroutine runs, or Write does
	flush     *Flush          // told when the queue has been written
	closing   []byte          // the last frame over WebSocket, if it is not closeFrame
	abort     func(time.Time) // ends the writing of a poll's answer at a time; nil: none is written
	poll      chan struct{}   // closed to wake the waiting poll; nil: none waits
	polling   bool            // a GET is being handled
	posted    chan struct{}   // closed when the POST that is being handled has been; nil: there is none
}

// newConn makes the connection of a handshake, and tells the client its id.
func newConn(srv *Server, h handshake) (*Conn, error) {
	id, err := srv.opts.NewID()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		srv:      srv,
		protocol: 3,
		id:       id,
		query:    srv.opts.keep(h.query),
		address:  h.address,
		jsonp:    h.query.Has(jsonpIndex),
		told:     make(chan struct{}),
		outbox:   outbox{account: &srv.account},
		over:     make(chan struct{}),
		ws:       h.conn,
	}
	if h.query.Get("EIO") == "4" {
		c.protocol = 4
	}
	c.encoding = encodingOf(c.protocol, h.query)
	srv.opts.Observer.ConnectionOpened()
	c.Send(c.openPacket())
	return c, nil
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
// parameter that is read later. The strings are copied, since they are parts of the
// whole query.
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
	if c.ws != nil {
		return WebSocket
	}
	return Polling
}

// Mute lets nothing that the client sends be handled any more.
func (c *Conn) Mute() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.muted = true
}

// isMuted reports whether nothing that the client sends is handled any more.
func (c *Conn) isMuted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.muted || c.sealed
}
