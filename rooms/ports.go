package rooms

import (
	"context"
	"encoding/json"
	"net/url"
	"time"
)

// This file is all that the domain asks of the layers around it.

// Conn is one connected socket, as the layer below presents it. All methods are safe
// for concurrent use and none blocks.
type Conn interface {
	// ID is the socket id: unique among all sockets of all instances. It may be
	// shown to any client: it neither opens nor continues a connection.
	ID() string
	// ClientID is what the client takes for its socket's id. In protocol 3 it is a
	// secret, with which one can act as that client: it is for finding the receivers
	// of a broadcast and must not be shown, stored or logged. Else it is ID.
	ClientID() string
	// Send queues frames behind everything queued before. A socket whose queue
	// is over its byte limit is disconnected; nothing is dropped silently.
	Send(Frames)
	// Close disconnects the socket after what is queued has been written. With again
	// the client reconnects by itself.
	Close(again bool)
}

// Session is a connected socket, as the layer below calls it. The events come one
// at a time and in order; Disconnect may come at any time.
type Session interface {
	// Handle handles an event. Args are complete JSON values that are valid until
	// it returns; attachments are the binary arguments that placeholders in them
	// stand for. The reply's fields extend {"ok":true}; an error is the
	// acknowledgement, or rollcall_error if the client asked for none.
	Handle(event string, args []json.RawMessage, attachments [][]byte) (reply map[string]any, err error)
	// Disconnect ends the session, for a reason.
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
	// Fanout queues every delivery and waits, for a bounded time, until the sockets
	// that were idle before have written theirs. It returns how long that took. Not
	// for use under a mutex.
	Fanout([]Delivery) time.Duration
}

// Handshake is what a client told about itself when it connected.
type Handshake struct {
	Query url.Values
	// Auth is the CONNECT payload's object (3.x and 4.x clients), else nil.
	Auth map[string]any
	// Address is the client's, as addresses are counted: of IPv6 the network.
	Address string
}

// Identity is the user that a token is of.
type Identity struct {
	// User is the user object, with an id.
	User json.RawMessage
	// Status is the one to start with, "" if the token names none.
	Status Status
	// Expires is when the token runs out; zero: never.
	Expires time.Time
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

// RoomList names the list of a chat room's members: keys are socket ids, and Data is
// the username as a JSON string. It is also the room of broadcasts for them.
func RoomList(room string) string { return "room:" + room }

// An EntryKey identifies an entry: what is put under it replaces what was.
type EntryKey struct {
	// List is Online, or another name with a colon in it.
	List string
	// Key is unique in the list. It is or begins with the id of the socket
	// that the entry is of.
	Key string
}

// Entry is what a socket has in a list. Only the instance that put it changes it while
// that instance lives.
type Entry struct {
	EntryKey
	// Instance owns the entry.
	Instance string
	// UserID is the identity of the user whose entry it is: the user object's
	// id, or the socket id.
	UserID string
	// Data is what is listed, as it was given, byte for byte: of Online, the
	// user object.
	Data json.RawMessage
	// JoinedAt is when the user came online or joined the room (Store.Now): a second
	// socket has the first one's time, and a user who was hidden the time of becoming
	// visible. Every list is in this order; ties are broken by Instance, then Key.
	JoinedAt int64
	// RegisteredAt is when Data was registered (Store.Now). Of one user's entries the
	// data of the latest registration is shown; ties as with JoinedAt. 0 in the
	// entries of older instances: JoinedAt counts then.
	RegisteredAt int64
	// VisibleAt is when the user last became visible after hiding (Store.Now), as far
	// as this entry's socket knows; 0: never. No place in a list is before it.
	VisibleAt int64
	// Status is the socket's, StatusAt when the user chose it (epoch milliseconds;
	// 0: never). Of one user's entries the latest choice counts. "" means Active.
	Status   Status
	StatusAt int64
}

// isAnonymous reports whether the entry of a stage or race belongs to a socket
// and not to a user with an id.
func (e Entry) isAnonymous() bool { return e.UserID == socketOf(e.Key) }

// Change is something that this instance did not do: a change of an entry, a chat
// message or a sign-out.
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
	Room string
	// ID rises within the room.
	ID int64
	// UserID is the sender's, "" for one without an id.
	UserID   string
	Username string
	Content  string
	// At is when it was posted (epoch milliseconds).
	At int64
}

// ChatPost is a message that is to be kept in a chat room's history.
type ChatPost struct {
	Room string
	// UserID is the sender's, "" for one without an id.
	UserID            string
	Username, Content string
	// Nonce, if not "", marks a message that may be sent again: with the same
	// one from the same user, else under the same name, within 10 minutes it is
	// the same message.
	Nonce string
	From  Origin
}

// Origin is the client that the memory of a message is accounted to. When histories
// take too much, the address that takes most is the first to lose some, and of its
// clients the one that takes most.
type Origin struct {
	// Address is that of the network, or the user of a token.
	Address string
	// Client is one of those at the address.
	Client string
}

// Store is the state that all instances share. Its methods do not wait for the
// network and are safe for concurrent use. Now, Put, Remove, SignOut and Touch may
// be called under a lock: they do not call back.
type Store interface {
	// Now is the time that all instances share, in epoch microseconds. It is the
	// clock of what they share, as this instance measured it last, and rises with
	// every call.
	Now() int64
	// Put sets one of this instance's own entries, for the others. They are told
	// of an instance's changes in the order in which it made them. A user who comes
	// online, or out of hiding, or with other data, was active then.
	Put(Entry)
	// Remove deletes one of this instance's own entries, for the others; an
	// unknown one is no error.
	Remove(EntryKey, Reason)
	// Watch calls f with some changes at a time, one call at a time, holding no lock:
	// with every entry that the others have, as a put, before it returns; then with
	// every change of theirs and every message, once each, those of one entry in their
	// order. While f waits, the others' changes do. Watching ends when stop has
	// returned; stop may be called again, but Watch may not.
	Watch(f func([]Change)) (stop func())
	// PostMessage adds a message to a chat room's history, under the next id and
	// at the present time. The watchers of all instances, this one's too, get a
	// room's messages in the order of their ids. The channel gets that id, or the
	// id from before if the message is there already (the latest 100,000 nonces
	// are known); it gets nothing if that cannot be known. The last 100
	// of a room are kept for 7 days, and 64 MiB in all: beyond that a room is
	// forgotten that was begun by the client whose rooms take most (Origin), the
	// one of them that was used least recently. It returns a Refusal with code
	// unavailable if the message could not be kept now.
	PostMessage(ChatPost) (kept <-chan int64, err error)
	// SignOut tells the other instances' watchers that a user is to be signed
	// out.
	SignOut(user string)
	// Touch notes when a user was active (epoch milliseconds). It is written
	// with some delay, a second at most.
	Touch(user string, at int64)
}

// Records is what is remembered beyond the moment. Its methods may wait for
// the network, within ctx.
type Records interface {
	// LastActive is when a user was last noted as active (epoch milliseconds),
	// 0 if that was over 30 days ago, never, or among too many others since:
	// the latest million are remembered. A user who is known by the socket id
	// is not.
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
	Rooms []string
	// Except are rooms whose sockets do not get it.
	Except []string
}

// Bus carries broadcasts between the instances of one deployment. One that
// could not be a Socket.IO event (a reserved or empty name, arguments that are
// not JSON) reaches no socket.
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
