// Package rooms is the domain: who is online. It is what a newcomer reads
// first.
//
// A connected socket is a session. A session that registers a user object has
// an entry in the shared map, which the Store keeps. The view is this
// instance's replica of that map, fed by Store.Watch and by nothing else; the
// flush loop (Run) tells the sessions what changed in it. So data flows one
// way round:
//
//	Handle → Store.Put/Remove → Store.Watch → view → flush → Sender.Fanout
//
// What lives here: the rules of PROTOCOL.md, section 2. What may not: anything
// about Socket.IO frames (internal/wire), Redis (adapter), HTTP or the
// environment. The package imports the standard library only and no other
// package of this module; ports.go is all that it asks of the layers around.
package rooms

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Options configures Rooms. The zero value of each field means its default.
type Options struct {
	// Instance names this process among all of the deployment. Default "local".
	Instance string
	// MaxUser is the size limit of one user object in bytes. Default 4096.
	MaxUser int
	// IncrementsFactor and ListsFactor are the pauses after a flush in units
	// of what it cost: 1 spends at most half of the time on flushing, 3 at
	// most a quarter. Defaults 1 and 3.
	IncrementsFactor int
	ListsFactor      int
	// Grace is how long a user who closed or lost the last connection stays
	// listed, so that a reload is not seen. Default 0: not at all.
	Grace time.Duration
	// Bus brings messages for the sockets. Default: there are none.
	Bus Bus
	// Observer is told what is flushed, for metrics. Default: nobody.
	Observer Observer
}

// Observer is told what the flush loop does. Calls must not block.
type Observer interface {
	// Presence tells how many users and entries there are.
	Presence(users, entries int)
	// Flush tells what a flush cost; its kind is "changes" or "list".
	Flush(kind string, cost time.Duration)
}

type nobody struct{}

func (nobody) Presence(int, int)           {}
func (nobody) Flush(string, time.Duration) {}

// Rooms is the presence service of one instance. Its methods are safe for
// concurrent use; the events of one socket must come one at a time.
type Rooms struct {
	options Options
	store   Store
	sender  Sender

	leaving *leaving

	// wake tells the flush loop that there is something to flush.
	wake chan struct{}
	// stopWatching ends the feed of the view, stopMessages that of messages.
	stopWatching, stopMessages func()

	// mu guards everything below, and what the fields of a session say it
	// guards. It is the innermost lock: nothing else is called under it.
	mu         sync.Mutex
	sessions   map[string]*session // by socket id
	membership membership
	view       view
	pending    pending
}

// A handler answers one event of a session. The map it returns is added to
// the acknowledgement and may be nil.
type handler func(r *Rooms, s *session, args []json.RawMessage) (map[string]any, error)

// handlers are the events that clients may send.
var handlers = map[string]handler{
	"register":   (*Rooms).register,
	"unregister": (*Rooms).unregister,
	"sync":       (*Rooms).sync,
}

// Events names the events that clients may send, sorted.
func Events() []string { return slices.Sorted(maps.Keys(handlers)) }

// New makes the presence service of one instance. It watches the store and the
// bus at once; Run must be called, and ends that.
func New(options Options, store Store, sender Sender) *Rooms {
	options.Instance = cmp.Or(options.Instance, "local")
	options.MaxUser = cmp.Or(options.MaxUser, 4096)
	options.IncrementsFactor = cmp.Or(options.IncrementsFactor, 1)
	options.ListsFactor = cmp.Or(options.ListsFactor, 3)
	if options.Observer == nil {
		options.Observer = nobody{}
	}
	r := &Rooms{
		options:    options,
		store:      store,
		sender:     sender,
		wake:       make(chan struct{}, 1),
		sessions:   make(map[string]*session),
		membership: make(membership),
		view:       newView(),
	}
	r.leaving = newLeaving(options.Grace, func(socket string, reason Reason) { store.Remove(Place{Key: socket}, reason) })
	r.stopWatching = store.Watch(r.apply)
	r.stopMessages = func() {}
	if options.Bus != nil {
		r.stopMessages = options.Bus.Subscribe(r.deliver)
	}
	return r
}

// Connect takes a socket, before any of its events. It returns a Refusal with
// code bad_presence if the handshake asks for an unknown subscription; then
// the socket is not taken.
func (r *Rooms) Connect(c Conn, h Handshake) error {
	subscription, err := subscriptionOf(h)
	if err != nil {
		return err
	}
	s := &session{id: c.ID(), conn: c, subscription: subscription}
	r.mu.Lock()
	_, taken := r.sessions[s.id]
	if !taken {
		r.sessions[s.id] = s
		if subscription == countOnly {
			s.owedCount, r.pending.counts = true, true
		}
	}
	r.mu.Unlock()
	if taken {
		return fmt.Errorf("connect: socket id %q is connected already", s.id)
	}
	r.wakeUp()
	return nil
}

// Handle answers one event of a connected socket: register, unregister, sync.
// It returns a Refusal with code unknown_event for any other, and with
// not_connected for a socket that Connect did not take or that is gone.
func (r *Rooms) Handle(c Conn, event string, args []json.RawMessage) (map[string]any, error) {
	handle, ok := handlers[event]
	if !ok {
		return nil, &Refusal{"unknown_event", fmt.Sprintf("There is no event %.64q.", event)}
	}
	s := r.session(c)
	if s == nil {
		return nil, errNotConnected
	}
	return handle(r, s, args)
}

// Disconnect lets go of a socket and removes its entry, for the given reason.
// A socket that is unknown or gone already is none of its business.
func (r *Rooms) Disconnect(c Conn, reason Reason) {
	s := r.session(c)
	if s == nil {
		return
	}
	if r.options.Grace <= 0 {
		s.leave(r.store, reason)
	} else if key, registered := s.retire(); registered {
		if key.anonymous { // cannot come back: a new socket is somebody else
			r.store.Remove(Place{Key: s.id}, reason)
		} else {
			r.leaving.hold(key, s.id, reason)
		}
	}
	r.mu.Lock()
	delete(r.sessions, s.id)
	r.membership.leaveAll(s)
	r.mu.Unlock()
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
	return Counts{
		Users:       r.view.size(),
		Sockets:     len(r.view.tabs),
		Connections: len(r.sessions),
	}
}

// OnlineUsers returns the present list as a JSON array. The bytes are shared:
// they must not be changed.
func (r *Rooms) OnlineUsers() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view.list()
}

// apply is what the store calls with each change.
func (r *Rooms) apply(c Change) {
	r.mu.Lock()
	r.view.apply(c)
	r.mu.Unlock()
	r.wakeUp()
}

// joinedAt is when a user came online who registers now: a further tab takes
// the time of those before.
func (r *Rooms) joinedAt(k userKey) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.view.users[k]; u != nil {
		return u.joinedAt
	}
	return time.Now().UnixMilli()
}

// session finds what Connect took, nil if it did not or if the socket is gone.
func (r *Rooms) session(c Conn) *session {
	id := c.ID()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[id]; s != nil && s.conn == c {
		return s
	}
	return nil
}
