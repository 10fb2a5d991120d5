package rooms

// This file brings messages, which may come from any instance or from a
// program that knows the official Redis adapter's format, to this instance's
// sockets.

// UserRoom names the room of everybody who has registered the user with this
// id: all tabs of one user.
func UserRoom(id string) string { return "user:" + id }

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
		if s := r.sessions[room]; s != nil {
			all[s] = struct{}{}
		}
		for s := range r.membership[room] {
			all[s] = struct{}{}
		}
	}
	return all
}

// enterUserRoom moves a session into the room of its user, and out of the one
// of the user before. Without a user ("" or somebody known by the socket id
// only) it is in none: the socket's own room does.
func (r *Rooms) enterUserRoom(s *session, k userKey) {
	room := ""
	if k.id != "" && !k.anonymous {
		room = UserRoom(k.id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.userRoom == room || r.sessions[s.id] != s { // or it is gone meanwhile
		return
	}
	if s.userRoom != "" {
		r.membership.leave(s, s.userRoom)
	}
	if s.userRoom = room; room != "" {
		r.membership.join(s, room)
	}
}

// deliver brings a message to the sockets of this instance that it is for. The
// bus calls it with one message at a time, so each socket gets them in order.
func (r *Rooms) deliver(m Message) {
	to := r.receivers(m)
	if len(to) == 0 {
		return
	}
	frames := r.sender.Encode(m.Event) // once, however many get it
	for _, c := range to {
		c.Send(frames)
	}
}

func (r *Rooms) receivers(m Message) []Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	var to []Conn
	excepted := r.inAny(m.Except)
	add := func(s *session) {
		if _, out := excepted[s]; !out {
			to = append(to, s.conn)
		}
	}
	if len(m.Rooms) == 0 {
		to = make([]Conn, 0, len(r.sessions))
		for _, s := range r.sessions {
			add(s)
		}
		return to
	}
	for s := range r.inAny(m.Rooms) {
		add(s)
	}
	return to
}
