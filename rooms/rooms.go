// Package rooms is the domain: who is online, and what they do together. It is what a newcomer reads
// first.
//
// A connected socket is a session. A session that registers a user object has
// an entry in the shared map. The view is this instance's replica of that map. An
// own change goes into the online list and into the Store's queue in one step, under one
// lock; those of other instances come by Store.Watch. The flush loop (Run) sends
// the sessions what changed:
//
//	Handle ─┬──────────────→ view ─→ flush ─→ Sender.Fanout
//	        └→ Store.Put      ↑
//	           Store.Watch ───┘
//
// The same is true of chat rooms, stages and races: they are other lists of the
// store, a list is the replica of one, and deliver.go tells of them. What is
// of the moment only (typing, invitations, speeds) goes by the Bus.
//
// What lives here: the rules of PROTOCOL.md, sections 2 to 4. What may not: anything
// about Socket.IO frames (internal/socketio), Redis (adapter), HTTP or the
// environment. The package imports the standard library only and no other
// package of this module; ports.go is all that it asks of the layers around.
package rooms

import (
	"cmp"
	"encoding/json"
	"sync"
	"time"
)

// Options configures Rooms. The zero value of each field means its default.
type Options struct {
	// Instance names this process among all of the deployment. Default "local".
	Instance string
	// MaxUser is the size limit of one user object in bytes. Default 4096.
	MaxUser int
	// Grace is how long a user who closed or lost the last connection stays
	// listed, so that a reload is not seen. Default 0: not at all.
	Grace time.Duration
	// Bus brings messages for the sockets, and takes theirs. Default: they stay
	// on this instance.
	Bus Bus
	// Records is what is remembered. Default: nothing is.
	Records Records
	// Strict is the behaviour of the Node service, transcript for transcript:
	// see strict.go.
	Strict bool
	// IdleAfter is how long a user sends nothing before being away. Default 0:
	// that never happens.
	IdleAfter time.Duration
	// Authenticate tells which user a token is of, or why it is of nobody; the reason
	// is not shown to clients. It must not block. Default: clients are trusted to
	// be who they say they are.
	Authenticate func(token string) (Identity, error)
	// AllowGuests lets in who has no good token, without an id.
	AllowGuests bool
	// Tracks are the ids of the tracks to race on, as JSON. It must not block.
	// Default: there are none.
	Tracks func() []json.RawMessage
	// Observer is told what is sent, for metrics. Default: nobody.
	Observer Observer
}

// Rooms is the presence service of one instance. Its methods are safe for
// concurrent use; the events of one socket must come one at a time.
type Rooms struct {
	options Options
	store   Store
	sender  Sender

	// wake tells the flush loop that there is something to flush.
	wake chan struct{}
	// stopWatching ends the feed of the online list, stopMessages that of messages.
	stopWatching, stopMessages func()

	// mu guards everything below and every session: an own change goes into the
	// lists here and into the store's queue in one step. Under it only the store is
	// called, which neither waits nor calls back.
	mu         sync.Mutex
	sessions   map[string]*session // by socket id
	aliases    map[string]*session // by the id that the client takes for its own, if that is another
	membership membership
	online     onlineList
	lists      memberLists
	pending    pendingFlush
	grace      graceEntries
	outbox     outbox

	handingOver bool // see HandOver
	woken       bool // the flush loop has been woken, and has not looked since
}

// New makes the presence service of one instance. It watches the store and the
// bus at once; Run must be called, and ends that.
func New(options Options, store Store, sender Sender) *Rooms {
	options.Instance = cmp.Or(options.Instance, "local")
	options.MaxUser = cmp.Or(options.MaxUser, 4096)
	if options.Observer == nil {
		options.Observer = noObserver{}
	}
	if options.Tracks == nil {
		options.Tracks = func() []json.RawMessage { return nil }
	}
	r := &Rooms{
		options:    options,
		store:      store,
		sender:     sender,
		wake:       make(chan struct{}, 1),
		sessions:   make(map[string]*session),
		aliases:    make(map[string]*session),
		membership: make(membership),
		online:     newOnlineList(options.Strict),
		lists:      newMemberLists(options.Instance),
		grace:      newGraceEntries(),
		outbox:     newOutbox(),
	}
	r.stopWatching = store.Watch(r.receiveChanges)
	r.stopMessages = func() {}
	if options.Bus != nil {
		r.stopMessages = options.Bus.Subscribe(r.receiveBroadcast)
	}
	return r
}

// Counts says how many there are.
type Counts struct {
	// Users and Sockets are online on all instances: distinct users, and
	// their registered sockets.
	Users, Sockets int
	// Connections is the number of sockets of this instance, registered or not.
	Connections int
}

// Counts returns the present numbers.
func (r *Rooms) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts()
}

// counts is Counts with r.mu held.
func (r *Rooms) counts() Counts {
	return Counts{
		Users:       r.online.size(),
		Sockets:     r.online.socketCount,
		Connections: len(r.sessions),
	}
}
