package rooms

import (
	"encoding/json"
	"time"
)

// What the tests see of the inside.

var Pause = pause

// Flush is one step of the flush loop, for tests that do without Run.
func (r *Rooms) Flush(lists bool) {
	r.mu.Lock()
	queued, due := r.outbox.take(), r.takePresence(lists)
	r.mu.Unlock()
	r.fanOutQueued(queued)
	r.flush(due)
}

// Deliver is one step of the flush loop: it sends what waits to be sent at once.
func (r *Rooms) Deliver() {
	r.mu.Lock()
	queued := r.outbox.take()
	r.mu.Unlock()
	r.fanOutQueued(queued)
}

// Running reports whether Run sends what calls add.
func (r *Rooms) Running() bool { return r.outbox.running.Load() }

// Waiting is what the flush loop would find to do.
func (r *Rooms) Waiting() (increments, lists bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	want := r.waiting()
	return want.deltas, want.lists
}

// Identify returns an identity's id and whether it is the socket's.
func Identify(user, socket string) (id string, anonymous bool, err error) {
	k, err := identify([]byte(user), socket)
	return k.id, k.anonymous, err
}

// RoomsWithMembers counts the rooms that exist.
func (r *Rooms) RoomsWithMembers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.membership)
}

// MemberLists counts the lists other than Online that exist here.
func (r *Rooms) MemberLists() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lists.byName)
}

// FlushMembers is one step of the flush loop, for tests that do without Run.
func (r *Rooms) FlushMembers() { r.flushMembers() }

// RacingBytes is what this instance's part of stages and races weighs.
func (r *Rooms) RacingBytes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lists.ownBytes
}

// Sweep lets go of choices that no socket adopted, as if a time had come.
func (r *Rooms) Sweep(now time.Time) { r.sweep(now) }

// HoldAtMost sets the bound of what is held for the grace.
func (r *Rooms) HoldAtMost(n int) { r.grace.limit = n }

// session finds the session that Connect returned for a socket, nil if there is
// none.
func (r *Rooms) session(c Conn) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[c.ID()]; s != nil && s.conn == c {
		return s
	}
	return nil
}

// Handle is Session.Handle, for tests that know only the socket.
func (r *Rooms) Handle(c Conn, event string, args []json.RawMessage) (map[string]any, error) {
	if s := r.session(c); s != nil {
		return s.Handle(event, args, nil)
	}
	return nil, errNotConnected
}

// Disconnect is Session.Disconnect, for tests that know only the socket.
func (r *Rooms) Disconnect(c Conn, reason Reason) {
	if s := r.session(c); s != nil {
		s.Disconnect(reason)
	}
}
