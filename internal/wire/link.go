package wire

import (
	"container/list"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	eio "github.com/zishang520/engine.io-go-parser/packet"
	"github.com/zishang520/engine.io/v2/engine"
	"github.com/zishang520/engine.io/v2/transports"
	"github.com/zishang520/engine.io/v2/types"
)

// link is one client's connection, over its whole life: the library sees one
// transport that is always writable, and the upgrade from polling to WebSocket
// happens inside it. So there is one queue, nothing has to be moved while
// others write, and the library's own upgrade code, which shares a variable
// between goroutines without a lock, never runs.
type link struct {
	transports.Transport // the library's part: events, ready state, session id

	srv     *Server
	engine  engine.Socket // set once, before the first frame is read
	done    chan struct{} // closed when the library has ended the session
	over    chan struct{} // closed when the connection is let go of
	request handshake     // what the link was made from
	session atomic.Pointer[session]
	// What it may send: events, and all other packets, however often it leaves
	// and enters the namespace.
	events, others quota
	unclaimed      *list.Element // of the Server's; guarded by its mu

	mu        sync.Mutex      // guards all below
	ws        *websocket.Conn // the current transport; nil: polling
	candidate *websocket.Conn // probing, not yet upgraded to
	queue     [][]byte        // frames not yet taken by a transport
	queued    int             // bytes in queue or being written
	writing   bool            // a writer goroutine runs
	settle    *settlement     // told when the queue has been written
	poll      chan struct{}   // closed to wake the waiting poll; nil: none waits
	polling   bool            // a GET is being handled
	posting   bool            // a POST is being handled
	closing   bool            // an orderly close: nothing more is queued
	onClosed  types.Callable  // the library's, once the orderly close is done
	dropped   bool            // gone: nothing is written or read any more
	failed    fault           // came before the wiring was done
	wired     bool
	linger    *time.Timer
}

var _ transports.Transport = (*link)(nil)

func newLink(srv *Server, ctx *types.HttpContext) *link {
	l := &link{
		Transport: transports.MakeTransport(),
		srv:       srv,
		done:      make(chan struct{}),
		over:      make(chan struct{}),
		events:    newQuota(srv.opts),
		others:    newQuota(srv.opts),
		request:   ctx.Request().Context().Value(handshakeKey{}).(handshake),
	}
	l.ws = l.request.conn
	l.session.Store(newSession(l))
	l.Prototype(l)
	l.Construct(ctx)
	l.request.encoding = encodingOf(l.Protocol(), l.request.query)
	l.SetWritable(true)
	return l
}

// Name is the current transport's.
func (l *link) Name() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ws != nil {
		return transports.WEBSOCKET
	}
	return transports.POLLING
}

// Send queues the library's own packets: open, ping, pong, CONNECT.
func (l *link) Send(packets []*eio.Packet) {
	for _, p := range packets {
		op, kind, data := byte(opText), []byte{packetType[p.Type]}, []byte(nil)
		if p.Data != nil {
			data, _ = io.ReadAll(p.Data) // from memory
		}
		if _, isText := p.Data.(*types.StringBuffer); !isText && p.Data != nil {
			op, kind = opBinary, nil
			if l.Protocol() == 3 {
				kind = []byte{4}
			}
		}
		l.send(appendFrame(nil, op, kind, data), nil)
	}
	l.Emit("drain") // the library keeps a callback list until it hears this
}

var packetType = map[eio.Type]byte{
	eio.OPEN: '0', eio.CLOSE: '1', eio.PING: '2', eio.PONG: '3',
	eio.MESSAGE: '4', eio.UPGRADE: '5', eio.NOOP: '6',
}

// send queues frames and sees that they leave. If the link was idle, s is told
// when they have.
func (l *link) send(frames []byte, s *settlement) {
	l.mu.Lock()
	if l.closing || l.dropped {
		l.mu.Unlock()
		return
	}
	// A single run of frames may be larger than the bound: a list is.
	if l.queued > 0 && l.queued+len(frames)+frameCost > l.srv.opts.MaxQueue {
		l.closing = true
		l.mu.Unlock()
		// On its own goroutine: the library may hold a lock around Send.
		go l.cutOff()
		return
	}
	idle := l.queued == 0
	l.queue = append(l.queue, frames)
	l.queued += len(frames) + frameCost
	if l.deliver() && idle && s != nil {
		s.add()
		l.settle = s
	}
	l.mu.Unlock()
}

// deliver sees that what is queued leaves, by a writer or by the poll that
// waits, and reports whether it started a writer. l.mu is held, so the writer
// finds all that its starter does under it.
func (l *link) deliver() (started bool) {
	switch {
	case l.ws == nil:
		l.wakePoll()
	case !l.writing:
		l.writing = true
		go l.write(l.ws)
		return true
	}
	return false
}

// cutOff ends a link whose client does not keep up.
func (l *link) cutOff() {
	l.srv.opts.Observer.SlowDisconnect()
	l.srv.opts.Log.Warn("client cut off: it does not read", "socket", l.session.Load().ID(), "queue_limit", l.srv.opts.MaxQueue)
	l.drop()
	l.fail(transportClose)
}

// wakePoll lets the waiting poll take what there is. l.mu is held.
func (l *link) wakePoll() {
	if l.poll != nil {
		close(l.poll)
		l.poll = nil
	}
}

// DoClose begins an orderly close: what is queued is written first. done is how
// the library learns that it may forget the session; without it it has.
func (l *link) DoClose(done types.Callable) {
	l.mu.Lock()
	if l.dropped {
		l.mu.Unlock()
		if done != nil {
			done()
		}
		return
	}
	l.closing, l.onClosed = true, done
	l.linger = time.AfterFunc(l.srv.opts.CloseTimeout, l.drop)
	overPolling, unreachable := l.ws == nil, done == nil && !l.polling
	if overPolling {
		l.queue = append(l.queue, closePacket)
	}
	l.deliver()
	l.mu.Unlock()
	switch {
	case !overPolling:
		l.finish()
	case unreachable: // its id is forgotten: no poll will ever fetch the rest
		l.drop()
	}
}

var (
	closePacket = appendFrame(nil, opText, []byte{'1'})
	noopPacket  = appendFrame(nil, opText, []byte{'6'})
	closeFrame  = appendFrame(nil, opClose)
)

// finish tells the library that an orderly close is done.
func (l *link) finish() {
	l.mu.Lock()
	done := l.onClosed
	l.onClosed = nil
	l.mu.Unlock()
	if done != nil {
		done()
	}
}

// drop ends the link at once and lets go of everything. Idempotent.
func (l *link) drop() {
	for _, conn := range l.detach() {
		conn.Close()
	}
}

// reject closes a connection that never carried the session.
func reject(conn *websocket.Conn) {
	conn.NetConn().Write(closeFrame)
	conn.Close()
}

// detach is drop, but for the connections, which the caller has to close.
func (l *link) detach() (conns []*websocket.Conn) {
	l.mu.Lock()
	if l.dropped {
		l.mu.Unlock()
		return nil
	}
	l.dropped, l.closing = true, true
	if l.ws != nil {
		conns = append(conns, l.ws)
	}
	candidate, settle := l.candidate, l.settle
	l.queue, l.settle, l.candidate = nil, nil, nil
	if l.linger != nil {
		l.linger.Stop()
	}
	l.wakePoll()
	l.mu.Unlock()
	if settle != nil {
		settle.done()
	}
	if candidate != nil {
		reject(candidate)
	}
	l.srv.forget(l)
	l.finish()
	close(l.over)
	return conns
}

// fault is why a link ends other than by an orderly close, in the library's
// words.
type fault string

const (
	transportClose fault = "transport close"
	transportError fault = "transport error"
	parseError     fault = "parse error"
)

func (f fault) Error() string { return string(f) }

// fail tells the library of a fault, through the events it listens to. It may
// come before the listeners are attached: then it waits for wire.
func (l *link) fail(f fault) {
	l.mu.Lock()
	if !l.wired {
		l.failed = f
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	switch f {
	case transportClose:
		l.OnClose()
	case transportError:
		l.OnError(string(f), f)
	case parseError:
		l.Emit("packet", &eio.Packet{Type: eio.ERROR})
	}
}

// wire marks the end of the handshake: from here on the library listens.
func (l *link) wire() {
	l.mu.Lock()
	l.wired = true
	f := l.failed
	l.mu.Unlock()
	if f != "" {
		l.fail(f)
	}
}

// receive handles one inbound Engine.IO packet. Messages go to the session;
// the rest is the library's. It reports whether reading goes on.
func (l *link) receive(m message) bool {
	if len(m.data) == 0 && !(m.binary && l.Protocol() == 4) {
		l.fail(parseError)
		return false
	}
	data := m.data
	if m.binary {
		if l.Protocol() == 3 {
			if data[0] != 4 {
				l.fail(parseError)
				return false
			}
			data = data[1:]
		}
		l.session.Load().binary(data)
		return !l.isClosing()
	}
	if data[0] == '4' {
		l.session.Load().text(data[1:])
		return !l.isClosing()
	}
	l.countOther(len(data))
	switch data[0] {
	case '2':
		l.Emit("packet", &eio.Packet{Type: eio.PING})
	case '3':
		l.Emit("packet", &eio.Packet{Type: eio.PONG})
	case '0', '1', '5', '6': // mean nothing here
	default:
		l.fail(parseError)
	}
	return !l.isClosing()
}

func (l *link) isClosing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

// engineServer makes links where the library would make its own transports.
type engineServer struct {
	engine.Server
	srv *Server
}

func (e *engineServer) CreateTransport(_ string, ctx *types.HttpContext) (transports.Transport, error) {
	return newLink(e.srv, ctx), nil
}
