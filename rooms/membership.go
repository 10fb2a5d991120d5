package rooms

import (
	"maps"
	"slices"
)

// UserRoom names the room of the sockets that have registered the user with this id.
func UserRoom(id string) string { return "user:" + id }

// unregisteredRoom names the room of the sessions that have a user's token and no
// registered user: a sign-out finds them there.
func unregisteredRoom(id string) string { return "unregistered:" + id }

// sessions are those of this instance, and the rooms that they are in. The room that
// each socket has to itself, named by its ids, is not kept. core.mu guards them.
type sessions struct {
	byID       map[string]*session
	byClientID map[string]*session // where that is another id
	rooms      map[string]map[*session]struct{}
}

func newSessions() sessions {
	return sessions{make(map[string]*session), make(map[string]*session), make(map[string]map[*session]struct{})}
}

// join puts a session into a room. Being there already is no error.
func (ss *sessions) join(s *session, room string) {
	if ss.rooms[room] == nil {
		ss.rooms[room] = make(map[*session]struct{}, 1)
	}
	ss.rooms[room][s] = struct{}{}
	if s.rooms == nil {
		s.rooms = make(map[string]struct{}, 2)
	}
	s.rooms[room] = struct{}{}
}

// leave takes a session out of a room. Not being there is no error.
func (ss *sessions) leave(s *session, room string) {
	delete(s.rooms, room)
	delete(ss.rooms[room], s)
	if len(ss.rooms[room]) == 0 {
		delete(ss.rooms, room)
	}
}

// add takes a session, unless its id is taken.
func (ss *sessions) add(s *session) bool {
	if ss.byID[s.id] != nil {
		return false
	}
	ss.byID[s.id] = s
	if s.clientID != s.id {
		ss.byClientID[s.clientID] = s
	}
	return true
}

// remove takes a session out of every room, and forgets it.
func (ss *sessions) remove(s *session) {
	delete(ss.byID, s.id)
	delete(ss.byClientID, s.clientID)
	for room := range s.rooms {
		ss.leave(s, room)
	}
}

// inAny returns the sessions that are in one of the rooms. The map must not be changed.
func (ss *sessions) inAny(rooms []string) map[*session]struct{} {
	if len(rooms) == 1 && ss.byID[rooms[0]] == nil && ss.byClientID[rooms[0]] == nil {
		return ss.rooms[rooms[0]] // mostly: needs no copy
	}
	all := make(map[*session]struct{})
	for _, room := range slices.Compact(slices.Sorted(slices.Values(rooms))) {
		for _, s := range []*session{ss.byID[room], ss.byClientID[room]} {
			if s != nil {
				all[s] = struct{}{}
			}
		}
		for s := range ss.rooms[room] {
			all[s] = struct{}{}
		}
	}
	return all
}

// receivers returns the sockets that get a broadcast.
func (ss *sessions) receivers(b Broadcast) []Conn {
	excepted, in, n := ss.inAny(b.Except), maps.Values(ss.byID), len(ss.byID)
	if len(b.Rooms) > 0 {
		all := ss.inAny(b.Rooms)
		in, n = maps.Keys(all), len(all)
	}
	to := make([]Conn, 0, n)
	for s := range in {
		if _, out := excepted[s]; !out {
			to = append(to, s.conn)
		}
	}
	return to
}

// moveToUserRoom moves a session into the room of its user, out of that of the user
// before. Without a user with an id that is none, or with a token unregisteredRoom.
func (ss *sessions) moveToUserRoom(s *session, key userKey) {
	room := ""
	switch {
	case key.hasID():
		room = UserRoom(key.id)
	case s.tokenKey.id != "":
		room = unregisteredRoom(s.tokenKey.id)
	}
	if s.userRoom == room {
		return
	}
	if s.userRoom != "" {
		ss.leave(s, s.userRoom)
	}
	if s.userRoom = room; room != "" {
		ss.join(s, room)
	}
}
