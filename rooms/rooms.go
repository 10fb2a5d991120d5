// Package rooms is the domain: who is online, and what they do together. It is what a newcomer reads
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
// The same is true of chat rooms, stages and races: they are other lists of the
// store, a roster is the replica of one, and telling.go tells of them. What is
// of the moment only (typing, invitations, speeds) goes by the Bus.
//
// What lives here: the rules of PROTOCOL.md, sections 2 to 4. What may not: anything
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
	"sync/atomic"
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
	// Authenticate tells whom a token is of, or why it is of nobody; the reason
	// is not shown to clients. It must not block. Default: clients are trusted to
	// be who they say they are.
	Authenticate func(token string) (Identity, error)
	// AllowGuests lets in who has no good token, without an id.
	AllowGuests bool
	// Tracks are the ids of the tracks to race on, as JSON. It must not block.
	// Default: there are none.
	Tracks func() []json.RawMessage
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

	// telling is held while sessions are told of rosters or brought messages:
	// telling.go. Rooms.mu is taken under it.
	telling sync.Mutex

	// handingOver: see HandOver.
	handingOver atomic.Bool

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
	rosters    rosters
	pending    pending
}

// A handler answers one event of a session. The map it returns is added to
// the acknowledgement and may be nil.
type handler func(r *Rooms, s *session, args []json.RawMessage) (map[string]any, error)

// handlers are the events that clients may send, but for those with a name in
// their name: see named.
var handlers = map[string]handler{
	"register":   (*Rooms).register,
	"unregister": (*Rooms).unregister,
	"sync":       (*Rooms).sync,

	"heartbeat": (*Rooms).heartbeat,
	"status":    (*Rooms).setStatus,

	"join":    (*Rooms).join,
	"leave":   (*Rooms).leaveRoom,
	"typing":  (*Rooms).typing,
	"message": (*Rooms).message,

	"invite":      (*Rooms).invite,
	"join_stage":  (*Rooms).joinStage,
	"add_car":     (*Rooms).addCar,
	"watch_stage": (*Rooms).watchStage,
	"watch_race":  (*Rooms).watchRace,
}

// passive are the events that do not show that the user is active.
var passive = map[string]bool{"status": true, "unregister": true}

// Events names the events that clients may send, sorted: those with a name in
// their name by their kind.
func Events() []string {
	return slices.Sorted(maps.Keys(kinds))
}

// kinds are the names of Events.
var kinds = func() map[string]bool {
	out := map[string]bool{startRaceEvents: true, updateSpeedEvents: true}
	for name := range handlers {
		out[name] = true
	}
	return out
}()

// EventKind is what an event is called in Events, "" if clients may not send it.
func EventKind(event string) string {
	if _, ok := handlers[event]; ok {
		return event
	}
	_, kind := named(event)
	return kind
}

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
	if options.Tracks == nil {
		options.Tracks = func() []json.RawMessage { return nil }
	}
	r := &Rooms{
		options:    options,
		store:      store,
		sender:     sender,
		wake:       make(chan struct{}, 1),
		sessions:   make(map[string]*session),
		membership: make(membership),
		view:       newView(options.Strict),
		rosters:    newRosters(options.Instance, !options.Strict),
	}
	r.leaving = newLeaving(options.Grace, func(socket string, reason Reason) { store.Remove(Place{Key: socket}, reason) })
	r.stopWatching = store.Watch(r.apply)
	r.stopMessages = func() {}
	if options.Bus != nil {
		r.stopMessages = options.Bus.Subscribe(r.deliver)
	}
	return r
}

// Connect takes a socket, before any of its events. Whose user is known from the
// handshake is registered. It returns a Refusal with code bad_presence if the
// handshake asks for an unknown subscription, with code unauthorized if it lacks
// a good token, and those of register; then the socket is not taken.
func (r *Rooms) Connect(c Conn, h Handshake) error {
	subscription, err := subscriptionOf(h)
	if err != nil {
		return err
	}
	who, err := r.admit(h)
	if err != nil {
		return err
	}
	s := &session{
		id: c.ID(), conn: c, subscription: subscription, status: Active,
		fixed: who.key, guest: who.guest, wantsObject: h.Query.Get("userId") != "",
	}
	s.activeAt.Store(time.Now().UnixMilli())
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
	if who.user == nil {
		return nil
	}
	if _, err := r.register(s, []json.RawMessage{who.user}); err != nil {
		r.Disconnect(c, Closed)
		return err
	}
	r.expireAt(s, who.expires)
	return nil
}

// Handle answers one event of a connected socket: one of Events. It returns a Refusal with code unknown_event for any other, and with
// not_connected for a socket that Connect did not take or that is gone.
func (r *Rooms) Handle(c Conn, event string, args []json.RawMessage) (map[string]any, error) {
	handle := handlers[event]
	if handle == nil {
		handle, _ = named(event)
	}
	if handle == nil {
		return nil, &Refusal{"unknown_event", fmt.Sprintf("There is no event %.64q.", event)}
	}
	s := r.session(c)
	if s == nil {
		return nil, errNotConnected
	}
	if !passive[event] {
		r.noteActive(s)
	}
	return handle(r, s, args)
}

// Disconnect lets go of a socket and removes its entries, for the given reason.
// A socket that is unknown or gone already is none of its business.
func (r *Rooms) Disconnect(c Conn, reason Reason) {
	s := r.session(c)
	if s == nil {
		return
	}
	s.mu.Lock()
	s.gone = true
	s.stopExpiring()
	key, registered := s.key, s.registered()
	r.noteLastLocked(s)
	// Who is known by the socket id cannot come back: a new socket is somebody else.
	mayReturn := registered && !key.anonymous
	switch {
	case mayReturn && r.handingOver.Load():
		clear(s.places) // left to whoever comes after this instance
	case mayReturn && r.options.Grace > 0:
		delete(s.places, s.online())
		r.leaving.hold(key, s.id, reason)
	}
	for place := range s.places {
		s.removeLocked(r.store, place, reason)
	}
	if !r.handingOver.Load() {
		for _, list := range s.stages {
			r.dropOutLocked(s, list)
		}
	}
	s.mu.Unlock()
	r.mu.Lock()
	delete(r.sessions, s.id)
	r.membership.leaveAll(s)
	r.mu.Unlock()
	if !registered {
		r.tellStrictly() // as Node does
	}
}

// HandOver is called when this instance is about to end: from here on the
// entries of sockets that go stay in the store, so that nobody is seen to leave
// who comes back on another instance. The store looks after what is left.
func (r *Rooms) HandOver() { r.handingOver.Store(true) }

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
		Sockets:     r.view.sockets,
		Connections: len(r.sessions),
	}
}

// apply is what the store calls with each change.
func (r *Rooms) apply(c Change) {
	switch {
	case c.Said != nil:
		r.deliver(Message{Event: c.Said.event(), Rooms: []string{RoomList(c.Said.Room)}})
	case c.SignOut != "":
		r.mu.Lock()
		r.pending.signOuts = append(r.pending.signOuts, c.SignOut)
		r.mu.Unlock()
		r.wakeUp()
	case r.options.Strict:
		r.applyStrictly(c)
	default:
		r.mu.Lock()
		r.applyEntry(c)
		r.mu.Unlock()
		r.wakeUp()
	}
}

// applyEntry takes an entry into the view or a roster. r.mu is held.
func (r *Rooms) applyEntry(c Change) {
	e := c.Entry
	if e.List != Online {
		r.applyToRoster(c)
		return
	}
	if c.Removed {
		r.view.remove(e.Key, c.Reason)
		return
	}
	u := r.view.put(e)
	if e.Instance != r.options.Instance && e.StatusAt > 0 && e.StatusAt == u.presence.at && !u.key.anonymous {
		if r.pending.adopt == nil {
			r.pending.adopt = make(map[userKey]struct{})
		}
		r.pending.adopt[u.key] = struct{}{}
	}
}

// applyToRoster takes an entry into a roster. A socket of ours is in a chat
// room from here on, or no longer. r.mu is held.
func (r *Rooms) applyToRoster(c Change) {
	e := c.Entry
	own := r.sessions[socketOf(e.Key)]
	if !c.Removed && isRoom(e.List) && own != nil {
		r.membership.join(own, e.List)
		r.rosters.owe(e.List, own)
	}
	if c.Removed {
		if isRoom(e.List) && own != nil {
			r.membership.leave(own, e.List)
		}
		r.rosters.remove(e.Place)
		return
	}
	r.rosters.put(e, time.Now().UnixMilli())
}

// joinedAt is when a user came online who registers now: a further tab takes
// the time of those before.
func (r *Rooms) joinedAt(k userKey) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.view.users[k]; u != nil && u.place != nil {
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
