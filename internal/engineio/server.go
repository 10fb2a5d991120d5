package engineio

import (
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/net/http/httpguts"
)

// Server is an endpoint: an http.Handler. Safe for concurrent use.
type Server struct {
	opts     Options
	accept   func(*Conn) Session
	upgrader websocket.Upgrader
	account  account

	// The constants, but in tests:
	maxPending, backlog int
	refusalDelay        time.Duration
	betweenPolls        time.Duration

	mu        sync.Mutex // guards all below
	conns     map[string]*Conn
	ending    map[*Conn]struct{} // those whose id is free, and that are not over yet
	places    int                // taken by connections, with those that are being made
	addresses map[string]int     // of them by client address, if that is limited
	// Those over polling that their clients have not polled yet, the oldest first.
	pending *simplelru.LRU[*Conn, struct{}]
	// Those without an open transport, and since when, the longest so first.
	detachedAt *simplelru.LRU[*Conn, time.Time]
	stopping   bool
}

// New makes a server. It calls accept for each new connection, which returns what
// the connection's messages go to; nothing is read before.
func New(opts Options, accept func(*Conn) Session) *Server {
	s := &Server{
		opts:      opts.withDefaults(),
		accept:    accept,
		conns:     map[string]*Conn{},
		ending:    map[*Conn]struct{}{},
		addresses: map[string]int{},

		maxPending:   maxPending,
		backlog:      handshakeBacklog,
		refusalDelay: refusalDelay,
		betweenPolls: betweenPolls,
		upgrader: websocket.Upgrader{
			ReadBufferSize:  512,
			WriteBufferSize: 512,
			WriteBufferPool: &sync.Pool{}, // we write frames ourselves
			CheckOrigin:     func(*http.Request) bool { return true },
			Error:           func(w http.ResponseWriter, _ *http.Request, _ int, _ error) { refuseUpgrade(w, badRequest) },
		},
	}
	s.account.limit = s.opts.MaxQueues
	// MaxConnections bounds both; a size above zero is never an error.
	s.pending, _ = simplelru.NewLRU[*Conn, struct{}](math.MaxInt, nil)
	s.detachedAt, _ = simplelru.NewLRU[*Conn, time.Time](math.MaxInt, nil)
	return s
}

// upgrade makes a WebSocket of a request, or answers why it cannot. Of the
// protocols that the client offers the first is agreed to, as Node's ws does:
// browsers that offered some fail without.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	var header http.Header
	offered := websocket.Subprotocols(r)
	for _, protocol := range offered {
		if !httpguts.ValidHeaderFieldName(protocol) { // both are tokens
			refuseUpgrade(w, badRequest)
			return nil, websocket.ErrBadHandshake
		}
		header = http.Header{"Sec-Websocket-Protocol": offered[:1]}
	}
	return s.upgrader.Upgrade(hijacker{w, s.opts.WriteTimeout}, r, header)
}

// ServeHTTP takes every request for the endpoint, whatever its path: old clients
// ask for /socket.io/1/ and the like.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.allowOrigin(w, r) {
		s.refuse(w, r, forbiddenOrigin)
		return
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	query := r.URL.Query()
	transport, upgrade := query.Get("transport"), websocket.IsWebSocketUpgrade(r)
	if transport != Polling && transport != WebSocket {
		s.refuse(w, r, unknownTransport)
		return
	}
	if s.opts.NoJSONP && transport == Polling && query.Has(jsonpIndex) {
		s.refuse(w, r, noJSONP)
		return
	}
	if query.Get("sid") != "" {
		s.serveConn(w, r, query, upgrade)
		return
	}
	switch {
	case r.Method != http.MethodGet:
		s.refuse(w, r, badMethod)
	case upgrade != (transport == WebSocket):
		s.refuse(w, r, badRequest)
	default:
		s.serveHandshake(w, r, query, upgrade)
	}
}

// serveConn takes a request that belongs to a session.
func (s *Server) serveConn(w http.ResponseWriter, r *http.Request, query url.Values, upgrade bool) {
	s.mu.Lock()
	c := s.conns[query.Get("sid")]
	s.mu.Unlock()
	transport := query.Get("transport")
	switch {
	case c == nil:
		s.refuse(w, r, unknownSession)
	case (query.Get("EIO") == "4") != (c.protocol == 4):
		s.refuse(w, r, badRequest)
	case upgrade && transport == WebSocket:
		s.serveUpgrade(c, w, r)
	case upgrade || c.Transport() != transport || transport != Polling:
		s.refuse(w, r, badRequest)
	case r.Method == http.MethodGet:
		s.attached(c)
		exchange{c, w, r}.servePoll()
	case r.Method == http.MethodPost:
		exchange{c, w, r}.servePost()
	default:
		w.WriteHeader(http.StatusInternalServerError) // as Node
	}
}

// serveHandshake makes a connection.
func (s *Server) serveHandshake(w http.ResponseWriter, r *http.Request, query url.Values, upgrade bool) {
	if !upgrade && s.isBacklogged() && !wait(r.Context().Done(), s.refusalDelay) {
		return
	}
	h := handshake{query: query, address: s.opts.Address(r)}
	no := s.enter(h.address)
	if no == full && s.awaitDisplaced(r.Context()) {
		no = s.enter(h.address)
	}
	if no != nil {
		wait(r.Context().Done(), s.refusalDelay)
		s.refuse(w, r, no)
		return
	}
	if upgrade {
		conn, err := s.upgrade(w, r)
		if err != nil {
			s.leave(h.address)
			return
		}
		h.ws = conn
	}
	c := s.open(h)
	if h.ws != nil {
		r := reader{c, h.ws}
		r.attach(&c.reading)
		go r.read()
	} else {
		s.addPending(c)
		exchange{c, w, r}.servePoll()
	}
}

// open makes a connection and its session, and tells the client its id.
func (s *Server) open(h handshake) *Conn {
	c := &Conn{
		srv:      s,
		protocol: 3,
		id:       s.opts.NewID(),
		query:    s.opts.keep(h.query),
		address:  h.address,
		jsonp:    h.query.Has(jsonpIndex),
		told:     make(chan struct{}),
		over:     make(chan struct{}),
		out:      outbox{account: &s.account},
		carrier:  carrier{ws: h.ws},
	}
	if h.query.Get("EIO") == "4" {
		c.protocol = 4
	}
	c.encoding = encodingOf(c.protocol, h.query)
	s.opts.Observer.ConnectionOpened()
	c.Send(s.opts.openPacket(c.id, h.ws == nil))
	session := s.accept(c)
	c.mu.Lock()
	c.session = session
	ended := c.life.told
	if c.life.state == open {
		c.timer.awaitPing(c)
	}
	c.mu.Unlock()
	if ended { // while the session was made
		session.Closed(Closed)
	} else if s.register(c) { // Stop has passed by already
		c.Close()
	}
	return c
}

// register makes a connection known by its id, unless that is free again. It reports
// whether the server stops.
func (s *Server) register(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.life.released {
		s.conns[c.id] = c
	}
	return s.stopping
}

// forget takes a connection out of the requests' sight.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c.id)
	c.mu.Lock()
	gone := c.life.state == gone
	c.mu.Unlock()
	if !gone {
		s.ending[c] = struct{}{}
	}
	s.pending.Remove(c)
	s.detachedAt.Remove(c)
}

// remove forgets a connection that holds nothing any more.
func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ending, c)
}

// allowOrigin answers for CORS: it reflects the origin and allows credentials,
// since 1.x and 2.x browsers always send them.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	if !s.opts.OriginAllowed(r) {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	if r.Method == http.MethodOptions {
		header.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			header.Set("Access-Control-Allow-Headers", asked)
		}
		header.Set("Access-Control-Max-Age", "600")
	}
	return true
}
