package socketio

import (
	"bytes"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"rollcall/internal/engineio"
	"rollcall/rooms"
)

// connectTimeout is how long a client may take for its first CONNECT, as in Node.
const connectTimeout = 45 * time.Second

// client is one connection's part of Socket.IO: its packets, and its sessions, one
// a namespace. It implements engineio.Session.
type client struct {
	srv  *Server
	conn *engineio.Conn
	// publicID is what others may know the client by in protocol 3, where it takes its
	// connection's id for its own; else "".
	publicID string

	// partial is a binary packet whose attachments are still coming, nil if there is
	// none. It belongs to the goroutine that handles the client's packets.
	partial *packet

	mu       sync.Mutex // guards all below
	sessions []*session
	ended    bool
	timer    *time.Timer // ends a connection without a CONNECT; nil: there was one
}

// accept makes a new connection's client. In protocol 3 it connects to the main
// namespace without being asked.
func (s *Server) accept(conn *engineio.Conn) engineio.Session {
	c := &client{srv: s, conn: conn}
	if conn.Protocol() == 3 {
		c.publicID = s.opts.NewID()
		c.connect(mainNamespace, nil)
		return c
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(connectTimeout, conn.Close)
	return c
}

// protocol is how metrics and the log name the client's.
func (c *client) protocol() string { return strconv.Itoa(c.conn.Protocol()) }

// session finds that of a namespace, nil if the client has not connected to it.
func (c *client) session(namespace string) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if s.namespace == namespace {
			return s
		}
	}
	return nil
}

// Text implements engineio.Session: it handles a packet. Whatever it is, it counts
// against the rate: an event over it is answered, another packet is delayed.
func (c *client) Text(data []byte) {
	p, err := decodePacket(data)
	if p.kind != typeEvent && p.kind != typeBinaryEvent {
		c.conn.Count(len(data))
	}
	switch {
	case err != nil, c.partial != nil:
		c.conn.Violation()
	case p.kind == typeConnect:
		c.receiveConnect(&p, data)
	default:
		c.receive(&p)
	}
}

// receive handles a packet of a session.
func (c *client) receive(p *packet) {
	s := c.session(p.namespace)
	switch {
	case s == nil, p.kind == typeConnectError, !s.awaitConnected():
		c.conn.Violation()
	case p.kind == typeDisconnect:
		c.disconnect(s)
	case p.missing > 0:
		c.awaitAttachments(p)
	default:
		s.receive(p)
	}
}

// receiveConnect handles a CONNECT. In protocol 3 the namespace may carry a query, as
// part of a URL.
func (c *client) receiveConnect(p *packet, data []byte) {
	if c.conn.Protocol() == 3 {
		u, err := url.Parse(p.namespace)
		if err != nil {
			u = &url.URL{} // the library's answer has no name then
		}
		p.namespace = u.Path
	}
	switch {
	case p.namespace != mainNamespace:
		c.refuse(p.namespace)
	case !c.connect(p.namespace, data):
		c.conn.Violation()
	}
}

// connect begins a session of a namespace, and reports false if there is one.
func (c *client) connect(namespace string, data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || slices.ContainsFunc(c.sessions, func(s *session) bool { return s.namespace == namespace }) {
		return false
	}
	s := newSession(c, namespace)
	c.sessions = append(c.sessions, s)
	// On a goroutine of its own, which ends: the library needs a deep stack, which
	// would stay as large for the reading one.
	go s.connect(bytes.Clone(data))
	return true
}

// connected notes that there was a CONNECT.
func (c *client) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// refuse answers a CONNECT to a namespace that there is not, after the answer to
// one that is under way.
func (c *client) refuse(namespace string) {
	if s := c.session(mainNamespace); s != nil {
		s.awaitConnected()
	}
	if namespace != "" {
		namespace += ","
	}
	c.conn.Send(engineio.AppendText(nil, []byte("44"), []byte(namespace), []byte(`{"message":"Invalid namespace"}`)))
}

// disconnect ends a session but not the connection: the client may come back to the
// namespace.
func (c *client) disconnect(s *session) {
	s.end(rooms.Closed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions = slices.DeleteFunc(c.sessions, func(other *session) bool { return other == s })
}

// awaitAttachments keeps a binary packet until its attachments have come: of one
// whose attachments are not kept only what its refusal needs, so that a client holds
// no memory for nothing.
func (c *client) awaitAttachments(p *packet) {
	p.size = len(p.data)
	switch {
	case c.srv.opts.MaxAttachments > 0:
		p.data = bytes.Clone(p.data)
	case p.kind == typeBinaryEvent && len(p.data) > 0:
		name, _, err := decodeEvent(p.data)
		if err != nil {
			c.conn.Violation()
			return
		}
		p.data = encode([]string{shorten(name)})
	default:
		p.data = bytes.Clone(p.data[:min(len(p.data), 1)])
	}
	c.partial = p
}

// Binary implements engineio.Session: it takes an attachment.
func (c *client) Binary(data []byte) {
	c.conn.Count(len(data))
	p := c.partial
	if p == nil {
		c.conn.Violation()
		return
	}
	var kept []byte
	if most := c.srv.opts.MaxAttachments; most > 0 {
		if p.attached += len(data); p.attached > most {
			c.conn.Violation()
			return
		}
		kept = bytes.Clone(data)
	}
	p.attachments = append(p.attachments, kept)
	if p.missing--; p.missing > 0 {
		return
	}
	c.partial = nil
	if s := c.session(p.namespace); s != nil {
		s.receive(p)
	}
}

// Upgraded implements engineio.Session.
func (c *client) Upgraded() {
	for _, s := range c.all() {
		s.upgraded()
	}
}

// Closed implements engineio.Session. A client that did something wrong is told.
func (c *client) Closed(reason engineio.Reason) {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.connected() // or too late for it
	if reason.Message != "" {
		c.sendToAll(errorEvent("", reason.Code, reason.Message+"."))
	}
	why := rooms.Closed
	if reason == engineio.Timeout {
		why = rooms.Timeout
	}
	for _, s := range c.all() {
		s.end(why)
	}
}

// sendToAll sends frames to the client, once for each session.
func (c *client) sendToAll(frames rooms.Frames) {
	for _, s := range c.all() {
		s.Send(frames)
	}
}

func (c *client) all() []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sessions)
}

// LogValue implements slog.LogValuer: the socket's id.
func (c *client) LogValue() slog.Value {
	if s := c.session(mainNamespace); s != nil {
		return slog.StringValue(s.ID())
	}
	return slog.StringValue("")
}
