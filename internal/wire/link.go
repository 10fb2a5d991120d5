package wire

import (
	"container/list"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/rooms"
)

// link is one client's connection, over its whole life: the upgrade from polling
// to WebSocket happens inside it. So there is one queue, nothing has to be moved
// while others write, and the library's own upgrade code, which shares a
// variable between goroutines without a lock, never runs. While a client is
// connected to the namespace the library does not know it (library.go).
type link struct {
	srv      *Server
	protocol int           // 3 or 4
	sid      string        // set by opened, before the first frame is read; knowing it is being this client
	public   string        // what others may know it by, of protocol 3; set by opened
	query    string        // the handshake's, encoded: parsed it is five times as large
	address  string        // the client's
	encoding encoding      // of polling
	jsonp    bool          // polling by script
	done     chan struct{} // closed when the session has ended
	over     chan struct{} // closed when the connection is let go of
	session  atomic.Pointer[session]
	// What it may send: events, and all other packets, however often it leaves
	// and enters the namespace.
	events, others quota
	turn           int           // bytes read since it rested; of the reading goroutine alone
	unclaimed      *list.Element // of the Server's; guarded by its mu
	detached       *list.Element // of the Server's; guarded by its mu
	detachedAt     time.Time     // guarded by the Server's mu
	beat           beat          // guarded by the heartbeat's mu
	waiting        atomic.Int64  // bytes in queue or being written; written with mu

	mu        sync.Mutex      // guards all below
	stay      *stay           // with the library; nil: none
	ws        *websocket.Conn // the current transport; nil: polling
	candidate *websocket.Conn // probing, not yet upgraded to
	queue     []run           // not yet taken by a transport
	kept      []run           // what goes behind CONNECT, which is not in the queue yet
	inflight  []run           // being written
	queued    int             // bytes in queue, and over WebSocket being written
	abort     func(time.Time) // ends the writing of a poll's answer at a time; nil: none is written
	writing   bool            // a writer goroutine runs
	settle    *settlement     // told when the queue has been written
	poll      chan struct{}   // closed to wake the waiting poll; nil: none waits
	polling   bool            // a GET is being handled
	posted    chan struct{}   // closed when the POST that is being handled has been; nil: there is none
	deaf      bool            // nothing that the client sends is handled any more
	closing   bool            // an orderly close: nothing more is queued, and deaf
	fetching  bool            // the close waits for the client's polls
	ended     bool            // the session has, or just does
	discarded bool            // its queue is, to make room for others
	dropped   bool            // gone: nothing is written or read any more
	linger    *time.Timer     // bounds the close
	reason    rooms.Reason    // of the end
	goodbye   []byte          // the last frame over WebSocket, if it is not closeFrame
}

// The transports, as clients name them.
const (
	overPolling   = "polling"
	overWebSocket = "websocket"
)

func newLink(srv *Server, h handshake) *link {
	l := &link{
		srv:      srv,
		protocol: 3,
		query:    h.query.Encode(),
		address:  h.address,
		jsonp:    h.query.Has("j"),
		done:     make(chan struct{}),
		over:     make(chan struct{}),
		events:   newQuota(srv.opts),
		others:   newQuota(srv.opts),
		ws:       h.conn,
		reason:   rooms.Closed,
	}
	if h.query.Get("EIO") == "4" {
		l.protocol = 4
	}
	l.encoding = encodingOf(l.protocol, h.query)
	l.session.Store(newSession(l))
	return l
}

// opened begins the session.
func (l *link) opened(sid string) {
	l.sid = sid
	if l.protocol == 3 { // connects to the main namespace without being asked
		l.session.Load().phase = connecting
		l.public = newSocketID()
	}
	l.srv.opts.Observer.ConnectionOpened()
	l.send(l.openPacket(), nil)
	l.srv.heartbeat.begin(l)
}

// handshakeQuery is the query that the client came with.
func (l *link) handshakeQuery() url.Values {
	query, _ := url.ParseQuery(l.query) // made by Encode
	return query
}

// Name is the current transport's.
func (l *link) Name() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ws != nil {
		return overWebSocket
	}
	return overPolling
}

// send queues frames and sees that they leave. If the link was idle, s is told
// when they have.
func (l *link) send(frames []byte, s *settlement) { l.enqueue(run{frames: frames}, s) }

// enqueue is send for frames that others may get too.
func (l *link) enqueue(r run, s *settlement) {
	l.mu.Lock()
	if l.closing || l.dropped {
		l.mu.Unlock()
		return
	}
	// A single run of frames may be larger than the bound: a list is.
	if l.queued > 0 && l.queued+r.cost() > l.srv.opts.MaxQueue {
		l.closing = true
		l.mu.Unlock()
		// On its own goroutine: the sender may hold a lock.
		go l.cutOff("its queue is too long")
		return
	}
	idle := l.queued == 0
	over := l.add(r)
	if l.deliver() && idle && s != nil {
		s.add()
		l.settle = s
	}
	l.mu.Unlock()
	if over {
		l.srv.evict()
	}
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
func (l *link) cutOff(why string) {
	l.mu.Lock()
	gone := l.dropped || l.discarded
	l.mu.Unlock()
	l.drop()
	l.abortPoll(time.Now())
	if gone {
		return
	}
	l.tellSlow(why)
}

// tellSlow counts and logs a client that does not keep up.
func (l *link) tellSlow(why string) {
	l.srv.opts.Observer.SlowDisconnect()
	l.srv.opts.Log.Warn("client cut off: it does not read", "socket", l.session.Load().ID(), "why", why)
}

// wakePoll lets the waiting poll take what there is. l.mu is held.
func (l *link) wakePoll() {
	if l.poll != nil {
		close(l.poll)
		l.poll = nil
	}
}

// close begins an orderly close: the session ends, and what is queued is written.
// Over polling the connection lives until the client has fetched it.
func (l *link) close() { l.shut(true) }

// fail ends the session for a fault of its client's, and the connection when what
// is queued has been written. In an orderly close nothing counts as a fault any
// more, but silence.
func (l *link) fail(reason rooms.Reason) {
	l.mu.Lock()
	if l.ended || l.closing && reason != rooms.Timeout {
		l.mu.Unlock()
		return
	}
	l.reason = reason
	l.mu.Unlock()
	l.end()
	l.shut(false)
}

// stopReceiving is the end of what the client sends: of packets that come later,
// over any transport, none is handled.
func (l *link) stopReceiving() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
}

// shut lets nothing more be queued, and sees that what is queued leaves and that
// the connection ends.
func (l *link) shut(orderly bool) {
	l.mu.Lock()
	if l.dropped || l.linger != nil {
		l.mu.Unlock()
		return
	}
	l.closing = true
	l.linger = time.AfterFunc(l.srv.opts.CloseTimeout, l.drop)
	polling, unreachable := l.ws == nil, !orderly && !l.polling
	if polling {
		l.fetching = orderly
		l.add(run{frames: closePacket})
	}
	l.deliver()
	l.mu.Unlock()
	switch {
	case polling && orderly: // it keeps its id and its place: its client polls
		l.session.Load().end(rooms.Closed)
	case orderly:
		l.end()
	case polling && unreachable: // its id is forgotten: no poll will ever fetch the rest
		l.drop()
	}
}

var (
	closePacket = appendFrame(nil, opText, []byte{'1'})
	noopPacket  = appendFrame(nil, opText, []byte{'6'})
	closeFrame  = appendFrame(nil, opClose)
)

// end ends the session. Idempotent.
func (l *link) end() {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
	st, reason := l.stay, l.reason
	l.stay = nil
	l.mu.Unlock()
	l.srv.heartbeat.forget(l)
	l.srv.forget(l)
	l.session.Load().end(reason)
	l.srv.opts.Observer.ConnectionClosed()
	l.srv.leave(l.address)
	close(l.done)
	if st != nil {
		st.end()
	}
}

// drop ends the link at once and lets go of everything. It waits for no client.
// Idempotent.
func (l *link) drop() {
	l.mu.Lock()
	if l.dropped {
		l.mu.Unlock()
		return
	}
	l.dropped, l.closing = true, true
	conn, candidate, settle := l.ws, l.candidate, l.settle
	l.empty()
	l.settle, l.candidate = nil, nil
	if l.linger != nil {
		l.linger.Stop()
	}
	l.wakePoll()
	l.mu.Unlock()
	if settle != nil {
		settle.done()
	}
	l.end()
	l.abortPoll(time.Now().Add(hangUpTime))
	if conn != nil {
		conn.Close()
	}
	if candidate != nil { // what waits for it does no more, and closes it
		socketOf(candidate).SetDeadline(time.Unix(0, 0))
	}
	l.srv.released(l)
	close(l.over)
}

// receive handles one inbound Engine.IO packet. It reports whether reading goes
// on. One goroutine at a time calls it: that of a POST, or, when there is none
// any more, that which reads the WebSocket.
func (l *link) receive(m message) bool {
	if l.isClosing() {
		return false
	}
	var err error
	if !m.binary && len(m.data) > 0 && m.data[0] == 'b' { // over WebSocket: of a POST's it is undone
		err = m.unbase64(l.protocol)
	}
	if err != nil || len(m.data) == 0 && !(m.binary && l.protocol == 4) {
		l.srv.opts.Observer.Refusal("invalid_packet")
		l.fail(rooms.Closed)
		return false
	}
	data := m.data
	if m.binary {
		if l.protocol == 3 {
			if data[0] != 4 {
				l.fail(rooms.Closed)
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
	case '2', '3':
		if !l.isClosing() {
			l.hear(data[0])
		}
	case '0', '1', '5', '6': // mean nothing here
	default:
		l.fail(rooms.Closed)
	}
	return !l.isClosing()
}

// isClosing reports whether the end has begun: nothing is received any more.
func (l *link) isClosing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing || l.deaf
}

func (l *link) hasEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}
