// Package rooms is the domain: who is online, and what users do together. Read
// this package first. It has the rules of PROTOCOL.md, sections 2 to 4, and
// nothing about Socket.IO frames (internal/socketio), Redis (adapter), HTTP or the
// environment. It imports the standard library only; ports.go is all that it asks
// of the layers around it.
//
//	Handle ─┬──────────────→ lists ─→ flush ─→ Sender.Fanout
//	        └→ Store.Put       ↑
//	           Store.Watch ────┘
//
// An own change goes into the lists here and into the Store's queue in one step,
// under one lock; those of other instances come by Store.Watch. The flush loop
// (Run) fans out what changed. What is of the moment only (typing, invitations,
// speeds) goes by the Bus.
//
// Each of these words is used for one thing:
//
//   - user: a person, known by the id of the user object; without an id (anonymous)
//     by the socket.
//   - connection: what carries a client's socket. Here it is a Conn.
//   - socket: a client's end in Socket.IO, on any instance.
//   - session: what this instance keeps of one of its sockets.
//   - instance: one process of the deployment.
//   - list: entries under one name, in order of joining. Online is the list of the
//     registered sockets; chat rooms, stages and races have the others.
//   - entry: what a socket has in a list. The instance that put it owns it.
//   - member: an entry of another list than Online, as it is kept here.
//   - change: an entry that was put or removed.
//   - delta: events that lead from what was announced to what is; snapshot: events
//     with the whole of a list. Announced is what clients were sent last.
//   - subscription: what a session gets of Online: deltas, snapshots, a count.
//   - room: sessions that a broadcast can be addressed to, as in Socket.IO. A chat
//     room is one with a list and a history; those in a stage or race form one too,
//     and so do the sessions of a user.
//   - broadcast: an event for sockets of every instance; chat message: one that is
//     kept in a chat room's history.
//   - publish: hand to the other instances; queue: put into the outbox; fan out:
//     write to clients; flush: one round of fan-out; acknowledge: answer an event.
package rooms

import (
	"cmp"
	"encoding/json"
	"sync"
	"time"
)

// Options configures Rooms. Bus and Records are required; the zero value of any other
// field means its default.
type Options struct {
	// Instance names this process among all of the deployment. Default "local".
	Instance string
	// MaxUser is the size limit of one user object in bytes. Default 4096.
	MaxUser int
	// Grace is how long a user who closed or lost the last connection stays
	// listed, so that a reload is not seen. Default 0: not at all.
	Grace   time.Duration
	Bus     Bus
	Records Records
	// Strict is COMPAT=strict, the behaviour of the Node service: see queueStrict.
	Strict bool
	// IdleAfter is how long a user sends nothing before being away. Default 0: never.
	IdleAfter time.Duration
	// Authenticate returns the user of a token; its error is not shown to clients.
	// It must not block. Default: clients are trusted to be who they say they are.
	Authenticate func(token string) (Identity, error)
	// AllowGuests accepts clients without a valid token, as users without an id.
	AllowGuests bool
	// Tracks are the ids of the tracks to race on. It must not block. Default: none.
	Tracks func() []json.RawMessage
	// Observer gets what metrics need. Default: none.
	Observer Observer
}

// Rooms is the presence service of one instance. Its methods are safe for
// concurrent use; the events of one socket must come one at a time.
type Rooms struct {
	*core
	users    *users
	tokens   *tokens
	statuses *statuses
	chat     *chat
	racing   *racing
	flusher  flusher
	handlers map[string]handler

	stopWatching, stopSubscription func()
}

// core has what all parts of Rooms share. Its methods, and those of the parts, are called
// with mu held; handlers, exported methods and those that say so take it themselves.
type core struct {
	options Options
	store   Store
	sender  Sender
	outbox  outbox // its atomic fields are read without mu

	// mu guards everything below and every session: an own change goes into the
	// lists here and into the store's queue in one step. Under it only the store is
	// called, which neither waits nor calls back.
	mu       sync.Mutex
	sessions sessions
	online   onlineList
	lists    memberLists
	grace    grace
	pending  pendingFlush

	handingOver bool // see HandOver
}

// New makes the presence service of one instance. It watches the store and the
// bus at once; Run must be called, and ends that.
func New(options Options, store Store, sender Sender) *Rooms {
	options.Instance = cmp.Or(options.Instance, "local")
	options.MaxUser = cmp.Or(options.MaxUser, 4096)
	options.Observer = cmp.Or[Observer](options.Observer, noObserver{})
	if options.Tracks == nil {
		options.Tracks = func() []json.RawMessage { return nil }
	}
	c := &core{
		options:  options,
		store:    store,
		sender:   sender,
		outbox:   newOutbox(),
		sessions: newSessions(),
		online:   newOnlineList(options.Strict),
		lists:    newMemberLists(options.Instance),
		grace:    newGrace(),
	}
	racing := &racing{c}
	statuses := &statuses{c, racing}
	users := &users{c, statuses, racing}
	r := &Rooms{
		core:     c,
		users:    users,
		tokens:   &tokens{c, users},
		statuses: statuses,
		chat:     &chat{c},
		racing:   racing,
		flusher:  newFlusher(c),
	}
	r.handlers = r.eventHandlers()
	r.stopWatching = store.Watch(r.receiveChanges)
	r.stopSubscription = options.Bus.Subscribe(r.receiveBroadcast)
	return r
}

// HandOver is called when this instance is about to end: from here on the entries
// of sockets that disconnect stay in the store, so that users who reconnect to
// another instance do not flicker. The store removes what is left.
func (r *Rooms) HandOver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handingOver = true
}

// Counts are the present numbers.
type Counts struct {
	Users, Sockets int // online on all instances, and their registered sockets
	Connections    int // sockets of this instance, registered or not
}

// Counts returns the present numbers.
func (r *Rooms) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts()
}

// counts is Counts with mu held.
func (c *core) counts() Counts {
	return Counts{Users: c.online.order.size, Sockets: c.online.socketCount, Connections: len(c.sessions.byID)}
}
