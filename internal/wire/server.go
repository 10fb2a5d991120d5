package wire

import (
	"container/list"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/zishang520/socket.io/v2/socket"
	"golang.org/x/net/http/httpguts"

	"rollcall/rooms"
)

// Server is the Socket.IO endpoint: an http.Handler for /socket.io/, and the
// rooms.Sender for what goes out. Safe for concurrent use.
type Server struct {
	opts      Options
	handler   Handler // set by Serve
	engine    *engineServer
	io        *socket.Server
	upgrader  websocket.Upgrader
	heartbeat *heartbeat
	outbound  outbound

	// The constants, but in tests:
	maxUnclaimed, crowd int
	holdTime            time.Duration
	betweenPolls        time.Duration

	mu        sync.Mutex // guards all below
	links     map[string]*link
	ending    map[*link]struct{} // those whose session has ended, and not yet the connection
	held      int                // connections, with those that are being made
	addresses map[string]int     // of them by client address, if that is limited
	unclaimed list.List          // of *link, the oldest first
	// Of *link, those without an open transport, the longest so first.
	withoutTransport list.List
	stopping         bool
}

var (
	_ http.Handler = (*Server)(nil)
	_ rooms.Sender = (*Server)(nil)
)

// New makes a server, which needs Serve before it can take requests.
func New(opts Options) *Server {
	s := &Server{
		opts:      opts.withDefaults(),
		links:     map[string]*link{},
		ending:    map[*link]struct{}{},
		addresses: map[string]int{},

		maxUnclaimed: maxUnclaimed,
		crowd:        aCrowd,
		holdTime:     holdTime,
		betweenPolls: betweenPolls,
		upgrader: websocket.Upgrader{
			ReadBufferSize:  512,
			WriteBufferSize: 512,
			WriteBufferPool: &sync.Pool{}, // we write frames ourselves
			CheckOrigin:     func(*http.Request) bool { return true },
			Error:           func(w http.ResponseWriter, _ *http.Request, _ int, _ error) { refuseUpgrade(w, badRequest) },
		},
	}
	s.outbound.limit = s.opts.MaxQueues
	s.heartbeat = newHeartbeat(s.opts)
	s.startLibrary()
	return s
}

// Serve sets the domain. Call it before the first request comes in.
func (s *Server) Serve(handler Handler) { s.handler = handler }

var errProtocols = errors.New("malformed Sec-WebSocket-Protocol")

// upgrade makes a WebSocket of a request, or answers why it cannot. Of the
// protocols that the client offers the first is agreed to, as Node's ws does:
// browsers that offered some fail without.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	var header http.Header
	offered := websocket.Subprotocols(r)
	for _, protocol := range offered {
		if !httpguts.ValidHeaderFieldName(protocol) { // both are tokens
			refuseUpgrade(w, badRequest)
			return nil, errProtocols
		}
	}
	if len(offered) > 0 {
		header = http.Header{"Sec-Websocket-Protocol": offered[:1]}
	}
	return s.upgrader.Upgrade(metered{w, s.opts.WriteTimeout}, r, header)
}

// ServeHTTP takes every request for the endpoint, whatever its path: old clients
// ask for /socket.io/1/ and the like.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.allowOrigin(w, r) {
		s.refused(w, r, forbiddenOrigin, "forbidden_origin")
		return
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	query := r.URL.Query()
	transport, upgrade := query.Get("transport"), websocket.IsWebSocketUpgrade(r)
	if transport != overPolling && transport != overWebSocket {
		refuse(w, r, unknownTransport)
		return
	}
	if s.opts.NoJSONP && transport == overPolling && query.Has("j") {
		s.refused(w, r, noJSONP, "jsonp")
		return
	}
	if query.Get("sid") != "" {
		s.serveLink(w, r, query, upgrade)
		return
	}
	switch {
	case r.Method != http.MethodGet:
		refuse(w, r, badMethod)
	case upgrade != (transport == overWebSocket):
		refuse(w, r, badRequest)
	default:
		s.serveHandshake(w, r, query, upgrade)
	}
}

// serveLink takes a request that belongs to a session.
func (s *Server) serveLink(w http.ResponseWriter, r *http.Request, query url.Values, upgrade bool) {
	s.mu.Lock()
	l := s.links[query.Get("sid")]
	s.mu.Unlock()
	transport := query.Get("transport")
	switch {
	case l == nil:
		refuse(w, r, unknownSession)
	case (query.Get("EIO") == "4") != (l.protocol == 4):
		refuse(w, r, badRequest)
	case upgrade && transport == overWebSocket:
		l.serveUpgrade(w, r)
	case upgrade || l.Name() != transport || transport != overPolling:
		refuse(w, r, badRequest)
	case r.Method == http.MethodGet:
		s.claim(l)
		l.servePoll(w, r)
	case r.Method == http.MethodPost:
		l.servePost(w, r)
	default:
		w.WriteHeader(http.StatusInternalServerError) // as Node
	}
}

// handshake is what a link is made from.
type handshake struct {
	query   url.Values
	address string
	conn    *websocket.Conn // nil: polling
}

// serveHandshake makes a session.
func (s *Server) serveHandshake(w http.ResponseWriter, r *http.Request, query url.Values, upgrade bool) {
	if !upgrade && s.crowded() && !s.hold(r.Context()) {
		return
	}
	h := handshake{query: query, address: s.opts.Address(r)}
	no, code := s.enter(h.address)
	if code == "full" && s.awaitDisplaced(r.Context()) {
		no, code = s.enter(h.address)
	}
	if code != "" {
		s.hold(r.Context())
		s.refused(w, r, no, code)
		return
	}
	if upgrade {
		conn, err := s.upgrade(w, r)
		if err != nil {
			s.leave(h.address)
			return
		}
		h.conn = conn
	}
	l, err := s.open(h)
	if err != nil { // the library has no entropy: nothing else fails here
		s.leave(h.address)
		s.opts.Log.Error("handshake failed", "error", err)
		if h.conn != nil {
			h.conn.Close()
		} else {
			refuse(w, r, badRequest)
		}
		return
	}
	if h.conn != nil {
		l.prepare(h.conn)
		go l.read(h.conn)
	} else {
		s.await(l)
		l.servePoll(w, r)
	}
}

// open makes a link, and lets the library make its side of the session.
func (s *Server) open(h handshake) (*link, error) {
	l := newLink(s, h)
	if _, err := l.enter(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	late := s.stopping
	if !l.hasEnded() {
		s.links[l.sid] = l
	}
	s.mu.Unlock()
	if late { // Stop has passed by already
		l.close()
	}
	return l, nil
}

// forget takes a link out of the requests' sight.
func (s *Server) forget(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l.sid)
	l.mu.Lock()
	dropped := l.dropped
	l.mu.Unlock()
	if !dropped {
		s.ending[l] = struct{}{}
	}
	s.claimed(l)
	s.removeDetached(l)
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

// remoteHost is the peer's address without its port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
