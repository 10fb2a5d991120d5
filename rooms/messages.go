package rooms

import "fmt"

// This file is who gets messages, which may come from any instance or from a
// program that knows the official Redis adapter's format: the rooms that this
// instance's sockets are in.

// UserRoom names the room of everybody who has registered the user with this
// id: all sockets of one user.
func UserRoom(id string) string { return "user:" + id }

// unregisteredRoom names the room of the sessions whose token is a user's, but
// which have no registered user: a sign-out finds them there.
func unregisteredRoom(id string) string { return "unregistered:" + id }

// A membership is who is in which room, except for the room that each socket
// has to itself: its id names it, and the sessions are known by that. Only rooms
// with members exist. It has no lock of its own: Rooms.mu guards it, and the
// rooms field of each session.
type membership map[string]map[*session]struct{}

// join puts a session into a room. Being there already is no error.
func (m membership) join(s *session, room string) {
	if m[room] == nil {
		m[room] = make(map[*session]struct{}, 1)
	}
	m[room][s] = struct{}{}
	if s.rooms == nil {
		s.rooms = make(map[string]struct{}, 2)
	}
	s.rooms[room] = struct{}{}
}

// leave takes a session out of a room. Not being there is no error.
func (m membership) leave(s *session, room string) {
	delete(s.rooms, room)
	delete(m[room], s)
	if len(m[room]) == 0 {
		delete(m, room)
	}
}

// leaveAll takes a session out of every room.
func (m membership) leaveAll(s *session) {
	for room := range s.rooms {
		m.leave(s, room)
	}
}

// inAny is everybody in one of the rooms. A room named twice costs no more.
// r.mu is held.
func (r *Rooms) inAny(rooms []string) map[*session]struct{} {
	all := make(map[*session]struct{})
	seen := make(map[string]struct{}, len(rooms))
	for _, room := range rooms {
		if _, again := seen[room]; again {
			continue
		}
		seen[room] = struct{}{}
		for _, s := range []*session{r.sessions[room], r.aliases[room]} {
			if s != nil {
				all[s] = struct{}{}
			}
		}
		for s := range r.membership[room] {
			all[s] = struct{}{}
		}
	}
	return all
}

// enterUserRoom moves a session into the room of its user, and out of the one
// of the user before. Without a user ("" or somebody known by the socket id
// only) it is in none: the socket's own room does. With a token it is in
// unregisteredRoom then. r.mu is held.
func (r *Rooms) enterUserRoom(s *session, k userKey) {
	room := ""
	switch {
	case k.id != "" && !k.anonymous:
		room = UserRoom(k.id)
	case s.tokenKey.id != "":
		room = unregisteredRoom(s.tokenKey.id)
	}
	if s.userRoom == room {
		return
	}
	if s.userRoom != "" {
		r.membership.leave(s, s.userRoom)
	}
	if s.userRoom = room; room != "" {
		r.membership.join(s, room)
	}
}

// reserved are the event names that mean something to Socket.IO itself: neither
// side may send them.
var reserved = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true,
	"disconnecting": true, "newListener": true, "removeListener": true,
}

// Reserved reports whether an event name means something to Socket.IO itself.
func Reserved(event string) bool { return reserved[event] }

// CheckEvent returns a Refusal with code bad_event for a name that no server
// may send.
func CheckEvent(name string) error {
	switch {
	case name == "":
		return &Refusal{"bad_event", "The event has no name."}
	case reserved[name]:
		return &Refusal{"bad_event", fmt.Sprintf("The event name %q is reserved.", name)}
	}
	return nil
}
