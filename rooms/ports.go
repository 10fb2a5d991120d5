package rooms

import (
	"encoding/json"
	"net/url"
	"time"
)

// This file is everything the domain asks of the layers around it. The types
// here are the only ones that wire, adapter and main share with rooms.

// Conn is one connected socket, as the layer below presents it. All methods
// are safe for concurrent use and none blocks. One socket is one comparable
// value (a pointer) from Connect to Disconnect.
type Conn interface {
	// ID is the socket id: unique among all sockets of all instances.
	ID() string
	// Send queues frames behind everything queued before. A socket whose queue
	// is over its byte limit is disconnected; nothing is dropped silently.
	Send(Frames)
	// Close disconnects the socket after what is queued has been written.
	Close()
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
	// Fanout queues every delivery and waits until the sockets that were idle
	// before have written theirs, a bounded time at most. It returns how long
	// that took: what a flush costs. Not for use under a mutex.
	Fanout([]Delivery) time.Duration
}

// Handshake is what a client told about itself when it connected.
type Handshake struct {
	Query url.Values
	// Auth is the CONNECT payload's object (3.x and 4.x clients), else nil.
	Auth map[string]any
}

// Reason tells why somebody went offline. The values are part of the protocol.
type Reason string

// The reasons of remove_user.
const (
	Closed       Reason = "closed"
	Timeout      Reason = "timeout"
	SignedOut    Reason = "signed_out"
	InstanceLost Reason = "instance_lost"
)

// Refusal is the one error type of the domain: Code is for programs, Message
// for people. It reaches clients as an acknowledgement or as rollcall_error.
type Refusal struct {
	Code    string
	Message string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// Entry is one registered socket in the shared map. Its owner is the instance
// that holds the socket; nobody else changes it while that instance lives.
type Entry struct {
	// Socket is the key in the shared map.
	Socket string
	// Instance owns the entry.
	Instance string
	// UserID is the user's identity: the user object's id, or the socket id.
	UserID string
	// User is the registered object, byte for byte.
	User json.RawMessage
	// JoinedAt is when this user came online (epoch milliseconds): a second
	// tab carries its first tab's time.
	JoinedAt int64
}

// Change is one step of the shared map, told to every watcher.
type Change struct {
	// Entry is what was put. Of a removed entry only Socket is sure to be set.
	Entry Entry
	// Removed says that the entry is gone, for Reason. Otherwise it was put:
	// new, or in place of the socket's entry before.
	Removed bool
	Reason  Reason
}

// Store is the shared map of entries.
type Store interface {
	// Put sets the entry of one of this instance's own sockets. This
	// instance's watchers have seen the change when Put returns; the others
	// follow. It does not wait for the network and is safe for concurrent use.
	Put(Entry)
	// Remove deletes one of this instance's own entries; an unknown socket is
	// no error. Watchers are told as with Put.
	Remove(socket string, reason Reason)
	// Watch calls f with every present entry as a put, in order of joining
	// (those that joined in the same millisecond: in order of their last put),
	// and then with every change, once each and one at a time; those of one
	// socket in their order. f must neither block nor call the store. Watching
	// ends when stop has returned; stop may be called again.
	Watch(f func(Change)) (stop func())
}

// Message is one event for sockets of any instance, whoever published it.
type Message struct {
	Event Event
	// Rooms are those whose members get it, each once; none: everybody
	// connected gets it. A socket is in the room of its own id, and in
	// UserRoom of its registered user.
	Rooms []string
	// Except are rooms whose members do not get it.
	Except []string
}

// Bus carries messages between the instances of one deployment. A message that
// could not be a Socket.IO event (a reserved or empty name, arguments that are
// not JSON) reaches nobody.
type Bus interface {
	// Publish hands a message to every subscriber of every instance, at most
	// once each. This instance's have been called when Publish returns; the
	// others follow, in the order in which this instance published. It does
	// not wait for the network and is safe for concurrent use.
	Publish(Message)
	// Subscribe calls f with every message from now on, one at a time. f must
	// neither block nor call the bus. It ends when stop has returned; stop may
	// be called again.
	Subscribe(f func(Message)) (stop func())
}
