package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zishang520/socket.io/v2/socket"

	"rollcall/rooms"
)

// phase is how far a session has come; it only moves forward.
type phase int

const (
	waiting    phase = iota // no CONNECT yet
	connecting              // CONNECT is with the library
	connected               // events are handled
	ended                   // refused, left or lost
)

// session is one client in the main namespace: a rooms.Conn from CONNECT to
// DISCONNECT. A link has one at a time.
type session struct {
	link    *link
	settled chan struct{} // closed when connecting is over, either way

	// Of the reading goroutine alone:
	partial *packet // a binary packet whose attachments are still coming
	missing int     // how many

	mu      sync.Mutex // guards all below
	id      string
	phase   phase
	taken   bool   // by the handler, to be told of the end
	carrier string // the transport it is counted under
	since   time.Time
}

var _ rooms.Conn = (*session)(nil)

func newSession(l *link) *session {
	return &session{link: l, settled: make(chan struct{})}
}

// ID implements rooms.Conn.
func (s *session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// ClientID implements rooms.Conn. A client of protocol 3 takes the sid of its
// connection for its socket's id.
func (s *session) ClientID() string {
	if s.link.protocol == 3 {
		return s.link.sid
	}
	return s.ID()
}

// newSocketID makes an id that looks like the library's.
func newSocketID() string {
	b := make([]byte, 18)
	rand.Read(b) // does not fail
	return base64.RawURLEncoding.EncodeToString(b)
}

// Send implements rooms.Conn.
func (s *session) Send(f rooms.Frames) {
	if r := (run{frames: f}); s.ready(r) {
		s.link.enqueue(r, nil)
	}
}

// push is Send, but written at once if it can be.
func (s *session) push(r run, settle *settlement) {
	if s.ready(r) {
		s.link.pushRun(r, settle)
	}
}

// ready reports whether frames may be sent; before CONNECT the link keeps them
// until they may.
func (s *session) ready(r run) bool {
	s.mu.Lock()
	phase, over := s.phase, false
	if phase < connected {
		over = s.link.keep(r)
	}
	s.mu.Unlock()
	if over {
		s.link.srv.evict()
	}
	return phase == connected
}

// disconnectPacket is what tells a client that the server meant it.
var disconnectPacket = appendFrame(nil, opText, []byte{'4', typeDisconnect})

// Close implements rooms.Conn.
func (s *session) Close(again bool) {
	if !again {
		s.Send(disconnectPacket)
	}
	s.link.stopReceiving()
	// On its own goroutine: it calls the handler, which calls this.
	go s.link.close()
}

// connect asks the handler whether a new socket may come in. It runs in the
// library's middleware, before CONNECT is answered.
func connect(sock *socket.Socket) *socket.ExtendedError {
	l := sock.Conn().Transport().(*stay).link
	s := l.session.Load()
	sock.SetData(s)
	s.mu.Lock()
	s.id = string(sock.Id())
	if l.protocol == 3 { // the library's is the sid
		s.id = l.public
	}
	s.mu.Unlock()
	auth, _ := sock.Handshake().Auth.(map[string]any)
	err := l.srv.handler.Connect(s, rooms.Handshake{Query: l.handshakeQuery(), Auth: auth, Address: l.srv.opts.Network(l.address)})
	if err != nil {
		code, message := explain(err)
		l.srv.opts.Observer.Refusal(code)
		s.end(rooms.Closed)
		return socket.NewExtendedError(code, map[string]any{"ok": false, "error": code, "message": message})
	}
	s.mu.Lock()
	s.taken = true
	late := s.phase == ended
	s.mu.Unlock()
	if late { // it was lost while the handler decided
		l.srv.handler.Disconnect(s, rooms.Closed)
		return socket.NewExtendedError("closed", nil)
	}
	return nil
}

// bind runs when the library has queued CONNECT, the last thing that it does for
// the client: from now on events flow, past it.
func bind(sock *socket.Socket) {
	st, s := sock.Conn().Transport().(*stay), sock.Data().(*session)
	st.leave() // before the client can come back
	s.mu.Lock()
	if s.phase == connecting {
		s.phase = connected
		s.link.sendKept()
		s.carrier, s.since = s.link.Name(), time.Now()
		s.link.srv.opts.Observer.SessionOpened(s.carrier, s.protocol())
		s.link.srv.opts.Log.Info("connected", "socket", s.id, "address", s.link.address,
			"transport", s.carrier, "protocol", s.protocol())
		close(s.settled)
	}
	s.mu.Unlock()
	st.end()
	// If it was lost while the library connected it, the library has listed the
	// socket after it had forgotten the stay, and would for good.
	sock.Disconnect(false)
}

// end is the end of the session, whatever brought it. Idempotent.
func (s *session) end(reason rooms.Reason) {
	s.mu.Lock()
	if s.phase == ended {
		s.mu.Unlock()
		return
	}
	if s.phase < connected {
		close(s.settled)
	} else {
		s.link.srv.opts.Observer.SessionClosed(s.carrier, s.protocol())
		s.link.srv.opts.Log.Info("disconnected", "socket", s.id, "reason", string(reason),
			"transport", s.carrier, "after", time.Since(s.since).Round(time.Millisecond))
	}
	s.phase = ended
	s.link.dropKept()
	taken := s.taken
	s.mu.Unlock()
	if taken {
		s.link.srv.handler.Disconnect(s, reason)
	}
}

// upgraded counts the session under its new transport.
func (s *session) upgraded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == connected && s.carrier == overPolling {
		s.carrier = overWebSocket
		s.link.srv.opts.Observer.SessionUpgraded(s.protocol())
	}
}

func (s *session) protocol() string { return strconv.Itoa(s.link.protocol) }

// alive waits until connecting is over and tells whether the session lives.
func (s *session) alive() bool {
	<-s.settled
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == connected
}

func (s *session) current() phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase
}

// violation ends a session whose client broke the protocol, as Node does. The
// connection ends a moment later: a client that comes back to do it again has to
// wait each time.
func (s *session) violation() {
	s.link.srv.opts.Observer.Refusal("invalid_packet")
	s.link.stopReceiving()
	s.end(rooms.Closed)
	s.link.repent()
	s.link.close()
}

// text handles a Socket.IO packet. Whatever it is, it counts against the rate:
// an event over it is answered, the rest is a strike.
func (s *session) text(data []byte) {
	p, err := decodePacket(data)
	if p.kind != typeEvent && p.kind != typeBinaryEvent {
		s.link.countOther(len(data))
	}
	switch {
	case err != nil, s.missing > 0:
		s.violation()
	case p.kind == typeConnect && s.foreign(&p):
		s.refuse(p.namespace)
	case p.kind == typeConnect:
		s.connect(data)
	case p.namespace != "/", p.kind == typeConnectError, s.current() == waiting:
		s.violation()
	case !s.alive():
		s.violation()
	case p.kind == typeDisconnect:
		s.disconnect()
	case p.attachments > 0:
		s.await(p)
	default:
		s.packet(p)
	}
}

// connect passes CONNECT on, once.
func (s *session) connect(data []byte) {
	s.mu.Lock()
	again := s.phase != waiting
	if !again {
		s.phase = connecting
	}
	s.mu.Unlock()
	if again {
		s.violation()
		return
	}
	// On a goroutine of its own: the library needs a deep stack, which would stay
	// as large for the reading one.
	go s.forward(data)
}

func (s *session) forward(data []byte) {
	l := s.link
	defer l.survive()
	err := l.forward(data)
	if err != nil { // the library has no entropy: nothing else fails here
		l.srv.opts.Log.Error("CONNECT failed", "error", err)
		l.drop()
	}
	if l.hasEnded() { // maybe before there was this session
		s.end(rooms.Closed)
	}
}

// foreign tells whether a CONNECT is for another namespace than the main one. In
// protocol 3 the name may carry a query, as part of a URL.
func (s *session) foreign(p *packet) bool {
	if s.link.protocol == 3 {
		u, err := url.Parse(p.namespace)
		if err != nil {
			u = &url.URL{} // the library's answer has no name then
		}
		p.namespace = u.Path
	}
	return p.namespace != "/"
}

// refuse answers a CONNECT to a namespace that there is not, after the answer to
// one that is under way.
func (s *session) refuse(namespace string) {
	if s.current() == connecting {
		<-s.settled
	}
	if namespace != "" {
		namespace += ","
	}
	s.link.send(appendFrame(nil, opText, []byte("44"), []byte(namespace), []byte(`{"message":"Invalid namespace"}`)), nil)
}

// disconnect ends the session but not the link: the client may come back to the
// namespace.
func (s *session) disconnect() {
	s.end(rooms.Closed)
	s.link.session.Store(newSession(s.link))
}

// await keeps of a binary packet what its refusal needs, until its attachments
// have come. Its arguments would be memory that a client holds for nothing.
func (s *session) await(p packet) {
	p.size = len(p.data)
	if p.kind == typeBinaryEvent && len(p.data) > 0 {
		name, _, err := decodeEvent(p.data)
		if err != nil {
			s.violation()
			return
		}
		p.data = encode([]string{shorten(name)})
	} else {
		p.data = bytes.Clone(p.data[:min(len(p.data), 1)])
	}
	s.partial, s.missing = &p, p.attachments
}

// maxName is how much of an event's name is kept, logged or sent back, in bytes. No
// event that there is has a longer one, and as JSON six times as much can come of
// it.
const maxName = 256

// shorten cuts an event's name, between two characters.
func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "")
}

// binary takes an attachment. Presence has no use for binary arguments, so only
// their number matters: the event is refused when it is complete.
func (s *session) binary(data []byte) {
	s.link.countOther(len(data))
	if s.missing == 0 {
		s.violation()
		return
	}
	if s.missing--; s.missing == 0 {
		p := *s.partial
		s.partial = nil
		s.packet(p)
	}
}

var (
	errBinary  = &rooms.Refusal{Code: "binary_not_supported", Message: "Events carry JSON only."}
	errNoEvent = &rooms.Refusal{Code: "bad_event", Message: "The event has no name."}
	errRate    = &rooms.Refusal{Code: "rate_limited", Message: "Too many events; some were not taken."}
)

// packet handles a complete EVENT or ACK.
func (s *session) packet(p packet) {
	if p.kind == typeAck || p.kind == typeBinaryAck {
		return // we ask for none
	}
	if len(p.data) == 0 {
		s.answer(p, "", nil, errNoEvent)
		return
	}
	if !s.link.count(&s.link.events, max(p.size, len(p.data))) {
		name := eventName(p.data)
		s.link.srv.opts.Observer.EventIn(name)
		s.answer(p, name, nil, errRate)
		s.link.rest()
		return
	}
	name, args, err := decodeEvent(p.data)
	if err != nil {
		s.violation()
		return
	}
	s.link.srv.opts.Observer.EventIn(name)
	if p.attachments > 0 {
		s.answer(p, name, nil, errBinary)
		return
	}
	reply, err := s.handle(name, args)
	s.answer(p, name, reply, err)
	if errors.Is(err, errPanic) {
		s.violation()
	}
}

var errPanic = errors.New("panic in a handler")

// handle calls the domain; a panic there costs one connection, not the process.
func (s *session) handle(name string, args []json.RawMessage) (reply map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.link.srv.opts.Log.Error("panic in a handler", "event", shorten(name), "panic", p, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return s.link.srv.handler.Handle(s, name, args)
}

// answer acknowledges an event, or reports its refusal if nobody waits for an
// acknowledgement.
func (s *session) answer(p packet, name string, reply map[string]any, err error) {
	answer := map[string]any{"ok": err == nil}
	for k, v := range reply {
		answer[k] = v
	}
	code, message := "", ""
	if err != nil {
		code, message = explain(err)
		s.link.srv.opts.Observer.Refusal(code)
		answer["error"], answer["message"] = code, message
		if code == internal {
			s.link.srv.opts.Log.Error("event failed", "event", shorten(name), "error", err)
		}
	}
	switch {
	case p.hasID:
		s.link.push(ackFrame(p.id, encode(answer)), nil)
	case err != nil:
		s.link.push(errorEvent(shorten(name), code, message), nil)
	}
}

// errorEvent tells a client of a refusal that no acknowledgement can; event is
// empty if it is not known.
func errorEvent(event, code, message string) rooms.Frames {
	refusal := encode(map[string]any{"ok": false, "event": event, "error": code, "message": message})
	return appendEvent(nil, rooms.Event{Name: "rollcall_error", Args: []json.RawMessage{refusal}})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // a reply of the domain that is not JSON: a bug
		return []byte(`{"ok":false,"error":"internal","message":"The answer could not be encoded."}`)
	}
	return b
}

const internal = "internal"

// explain is what a client is told of an error.
func explain(err error) (code, message string) {
	if r := (*rooms.Refusal)(nil); errors.As(err, &r) {
		return r.Code, r.Message
	}
	return internal, "Something went wrong on our side."
}
