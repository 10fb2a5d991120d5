package wire

import (
	"container/list"
	"net/url"
	"slices"
	"strings"
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
	query    []parameter   // of the handshake: what is read of it later
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
		query:    srv.opts.keep(h.query),
		address:  h.address,
		jsonp:    h.query.Has(jsonpIndex),
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

// A parameter is one of a query.
type parameter struct{ name, value string }

// jsonpIndex is the query's parameter with which a client polls by script.
const jsonpIndex = "j"

// keep is what a connection keeps of its handshake's query: the first value of each
// parameter that is read later. The strings are copied, since they are parts of the
// whole query.
func (o Options) keep(query url.Values) (kept []parameter) {
	for name, values := range query {
		if o.Parameters == nil || name == jsonpIndex || slices.Contains(o.Parameters, name) {
			kept = append(kept, parameter{strings.Clone(name), strings.Clone(values[0])})
		}
	}
	return slices.Clip(kept)
}

// handshakeQuery is what is kept of the query that the client came with.
func (l *link) handshakeQuery() url.Values {
	query := make(url.Values, len(l.query))
	for _, p := range l.query {
		query.Set(p.name, p.value)
	}
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

// wakePoll lets the waiting poll take what there is. l.mu is held.
func (l *link) wakePoll() {
	if l.poll != nil {
		close(l.poll)
		l.poll = nil
	}
}
