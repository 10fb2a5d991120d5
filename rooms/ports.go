package rooms

import (
	"context"
	"encoding/json"
	"net/url"
	"time"
)

// This file has all that the domain asks of the layers around it.

// Conn is one connected socket, as the layer below presents it. Its methods are safe
// for concurrent use and do not block.
type Conn interface {
	// ID is the socket id: unique among all sockets of all instances. It may be
	// shown to any client: it neither opens nor continues a connection.
	ID() string
	// ClientID is what the client takes for its socket's id. In protocol 3 it is a
	// secret, with which one can act as that client: it only finds the receivers of a
	// broadcast and must not be shown, stored or logged. Else it is ID.
	ClientID() string
	// Send queues frames behind everything queued before. A socket whose queue
	// is over its byte limit is disconnected; nothing is dropped silently.
	Send(Frames)
	// Close disconnects the socket after what is queued; again: the client reconnects.
	Close(again bool)
}

// Session is a connected socket, as the layer below calls it: with one event at a
// time, in order, and with Disconnect at any time.
type Session interface {
	// Handle handles an event. Args are complete JSON values, valid until it returns;
	// attachments are the binary arguments that placeholders in them stand for. The
	// reply's fields extend {"ok":true}; an error is the acknowledgement, or
	// rollcall_error if the client asked for none.
	Handle(event string, args []json.RawMessage, attachments [][]byte) (reply map[string]any, err error)
	Disconnect(Reason)
}

// Frames is a run of encoded events, made by Sender.Encode. It is immutable:
// the same bytes are queued to every receiver.
type Frames []byte

// Event is one Socket.IO event to a client. Args are complete JSON values.
type Event struct {
	Name string
	Args []json.RawMessage
}

// Delivery is one Frames for many sockets.
type Delivery struct {
	Frames Frames
	To     []Conn
}

// Sender encodes events and fans them out.
type Sender interface {
	// Encode turns events into frames that every receiver can share.
	Encode(events ...Event) Frames
	// Fanout queues every delivery, waits for a bounded time until the sockets that
	// were idle before have written theirs, and returns how long that took. Not for
	// use under a mutex.
	Fanout([]Delivery) time.Duration
}

// Handshake is what a client told about itself when it connected.
type Handshake struct {
	Query   url.Values
	Auth    map[string]any // of CONNECT (3.x and 4.x clients), else nil
	Address string         // of the client, as addresses are counted: of IPv6 the network
}

// Identity is the user that a token is of.
type Identity struct {
	User    json.RawMessage // with an id
	Status  Status          // to start with; "": the token names none
	Expires time.Time       // zero: never
}

// Reason tells why a user went offline. The values are part of the protocol.
type Reason string

// The reasons of remove_user.
const (
	Closed       Reason = "closed"
	Timeout      Reason = "timeout"
	SignedOut    Reason = "signed_out"
	Hid          Reason = "hidden"
	InstanceLost Reason = "instance_lost"
)

// Status is how present a user is. The values are part of the protocol.
type Status string

// The statuses. Hidden users are in no list that clients get.
const (
	Active Status = "active"
	Away   Status = "away"
	Hidden Status = "hidden"
)

// Refusal is the error type of the domain: Code is for programs, Message for people.
// It reaches clients as an acknowledgement or as rollcall_error.
type Refusal struct {
	Code    string
	Message string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// Online names the list of the registered sockets: its keys are the socket ids.
const Online = ""

// RoomList names the list of a chat room's members: keys are socket ids, Data is the
// username as a JSON string. It is also the room of broadcasts for them.
func RoomList(room string) string { return "room:" + room }

// An EntryKey identifies an entry: what is put under it replaces what was.
type EntryKey struct {
	List string // Online, or another name with a colon in it
	Key  string // unique in the list: the socket's id, in stages and races with #n behind it
}

// Entry is what a socket has in a list. While Instance lives, only it changes the entry.
type Entry struct {
	EntryKey
	Instance string
	UserID   string          // the user object's id, or the socket id
	Data     json.RawMessage // what is listed, byte for byte: of Online, the user object
	// JoinedAt is when the user came online or joined the room (Store.Now): a second
	// socket has the first one's time, and a user who was hidden that of becoming
	// visible. It orders every list; ties are broken by Instance, then Key.
	JoinedAt int64
	// RegisteredAt is when Data was registered (Store.Now). Of one user's entries the
	// data of the latest registration is shown; ties as with JoinedAt. 0 in the
	// entries of older instances: JoinedAt counts then.
	RegisteredAt int64
	// VisibleAt is when the user last became visible after hiding (Store.Now), as far
	// as this entry's socket knows; 0: never. No place in a list is before it.
	VisibleAt int64
	// Status is the socket's ("": Active), StatusAt when the user chose it (epoch
	// milliseconds; 0: never). Of one user's entries the latest choice counts.
	Status   Status
	StatusAt int64
}

// isAnonymous reports whether the entry of a stage or race belongs to a socket
// and not to a user with an id.
func (e Entry) isAnonymous() bool { return e.UserID == socketOf(e.Key) }

// Change is what a store reports: another instance's change of an entry, or its sign-out
// of a user, or a chat message of any instance.
type Change struct {
	// Entry was put, new or in place of the one before, or it was Removed, for Reason:
	// then only its EntryKey is sure to be set.
	Entry   Entry
	Removed bool
	Reason  Reason
	// Message, if not nil, was posted instead.
	Message *ChatMessage
	// SignOut, if not "", is the id of a user who is to be signed out instead.
	SignOut string
}

// ChatMessage is one message of a chat room's history.
type ChatMessage struct {
	Room     string
	ID       int64  // rises within the room
	UserID   string // of the sender, "" without an id
	Username string
	Content  string
	At       int64 // when it was posted (epoch milliseconds)
}

// ChatPost is a message that is to be kept in a chat room's history.
type ChatPost struct {
	Room, UserID, Username, Content string // as in ChatMessage
	// Nonce, if not "", marks a message that may be sent again: with the same nonce from
	// the same user, else under the same name, within 10 minutes it is the same one.
	Nonce string
	From  Origin
}

// Origin is the client that the memory of a message is accounted to. When histories
// take too much, the address that takes most is the first to lose some, and of its
// clients the one that takes most.
type Origin struct {
	Address string // of the network, or the user of a token
	Client  string // one of those at the address
}

// Store is the state that all instances share. Its methods do not wait for the
// network and are safe for concurrent use. Now, Put, Remove, SignOut and Touch may
// be called under a lock: they do not call back.
type Store interface {
	// Now is the time that all instances share, in epoch microseconds, as this instance
	// measured it last. It rises with every call.
	Now() int64
	// Put sets an own entry of this instance, for the others, which get its changes in
	// order. A user who comes online, out of hiding, or with other data is active then.
	Put(Entry)
	// Remove deletes an own entry, for the others; an unknown one is no error.
	Remove(EntryKey, Reason)
	// Watch calls f with some changes at a time, one call at a time, holding no lock:
	// with every entry that the others have, as a put, before it returns; then with
	// every change of theirs and every message, once each, those of one entry in their
	// order. While f waits, the others' changes do. Watching ends when stop has
	// returned; stop may be called again, but Watch may not.
	Watch(f func([]Change)) (stop func())
	// PostMessage adds a message to a chat room's history, under the next id and at the
	// present time. The watchers of all instances, this one's too, get a room's messages
	// in the order of their ids. The channel gets that id, or the id from before if the
	// message is there already (the latest 100,000 nonces are known); it gets nothing if
	// that cannot be known. The last 100 of a room are kept for 7 days, and 64 MiB in
	// all: beyond that, of the rooms begun by the client whose rooms take most (Origin)
	// the least recently used is forgotten. It returns a Refusal with code unavailable if
	// the message could not be kept now.
	PostMessage(ChatPost) (kept <-chan int64, err error)
	// SignOut tells the other instances' watchers that a user is to be signed out.
	SignOut(user string)
	// Touch notes when a user was active (epoch milliseconds), within a second.
	Touch(user string, at int64)
}

// Records is what is remembered beyond the moment. Its methods may wait for the
// network, within ctx.
type Records interface {
	// LastActive is when a user with an id was last active (epoch milliseconds); 0 with
	// an error, and if that was over 30 days ago, never, or before a million others.
	LastActive(ctx context.Context, user string) (int64, error)
	// History is the kept messages of a chat room, oldest first.
	History(ctx context.Context, room string) ([]ChatMessage, error)
}

// Broadcast is one event for sockets of any instance.
type Broadcast struct {
	Event Event
	// Rooms are those whose sockets get it, each once; none: all sockets get it. A
	// socket is in the rooms of its own ids, ID and ClientID, and in UserRoom of its
	// registered user.
	Rooms  []string
	Except []string // rooms whose sockets do not get it
}

// Bus carries broadcasts between the instances of one deployment. One that could not be
// an event (see CheckEvent; arguments that are not JSON) reaches no socket.
type Bus interface {
	// Publish hands a broadcast to every subscriber of every instance, at most once
	// each. This instance's have been called when Publish returns; the others follow,
	// in the order in which this instance published. It does not wait for the network
	// and is safe for concurrent use.
	Publish(Broadcast)
	// Subscribe calls f with every broadcast from now on, one at a time, holding no
	// lock: while f waits, the next ones do. f must not call the bus. It ends when
	// stop has returned; stop may be called again.
	Subscribe(f func(Broadcast)) (stop func())
}

// Observer gets what metrics need. Calls must not block.
type Observer interface {
	// Presence is called with the present numbers of users and entries.
	Presence(users, entries int)
	// Flush is called with what a flush cost; kinds are "changes", "list" and "rosters".
	Flush(kind string, cost time.Duration)
	// Pause is called with how long there will be no other flush of the kind.
	Pause(kind string, pause time.Duration)
	// Sent is called when so many sockets get an event; its kind may not be in EventsSent.
	Sent(kind string, sockets int)
}

type noObserver struct{}

func (noObserver) Presence(int, int)           {}
func (noObserver) Flush(string, time.Duration) {}
func (noObserver) Pause(string, time.Duration) {}
func (noObserver) Sent(string, int)            {}
