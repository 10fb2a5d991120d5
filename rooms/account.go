package rooms

import "context"

// This file is what the app beside us asks for: about users and rooms, and to
// sign somebody out.

// UserInfo is what may be known of a user.
type UserInfo struct {
	ID     string
	Online bool
	// Status and Since (epoch milliseconds) are of somebody who is online.
	Status Status
	Since  int64
	// LastActive is in epoch milliseconds, 0 if it is not remembered.
	LastActive int64
}

// User tells about a user. Somebody hidden is offline. It may wait for the
// network, within ctx; without it, it tells what this instance knows.
func (r *Rooms) User(ctx context.Context, id string) UserInfo {
	info := UserInfo{ID: id}
	var local int64
	r.mu.Lock()
	u := r.online.users[userKey{id: id}]
	if u == nil {
		u = r.online.users[userKey{id: id, anonymous: true}]
	}
	if u != nil && u.listed {
		info.Online, info.Status, info.Since = true, u.shownStatus, u.rank.at/1000
		local = info.Since
		for _, t := range u.sockets {
			if s := r.sessions[t.entry.Key]; s != nil {
				local = max(local, s.activeAt.Load())
			}
		}
	}
	r.mu.Unlock()
	if r.options.Records != nil {
		if at, err := r.options.Records.LastActive(ctx, id); err == nil {
			info.LastActive = at
		}
	}
	info.LastActive = max(info.LastActive, local)
	return info
}

// IsHidden reports whether a user has sockets and hides them. User tells of such
// a one as of somebody who is offline.
func (r *Rooms) IsHidden(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range []userKey{{id: id}, {id: id, anonymous: true}} {
		if u := r.online.users[key]; u != nil && u.status.current() == Hidden {
			return true
		}
	}
	return false
}

// Sockets is how many registered sockets a user has, on all instances.
func (r *Rooms) Sockets(id string) (sockets int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range []userKey{{id: id}, {id: id, anonymous: true}} {
		if u := r.online.users[key]; u != nil {
			sockets += len(u.sockets)
		}
	}
	return sockets
}

// SignOut signs a user out on every instance: the sockets are told, and
// disconnected. It returns how many there are.
func (r *Rooms) SignOut(id string) (sockets int) {
	sockets = r.Sockets(id)
	r.mu.Lock()
	r.store.SignOut(id)
	signedOut := r.signOut(id)
	r.mu.Unlock()
	r.closeSignedOut(signedOut) // not with the next flush: a shutdown may be next
	return sockets
}

// signOut does on this instance what SignOut asked for, and returns the sockets
// that are to be dismissed. r.mu is held.
func (r *Rooms) signOut(id string) (sockets []Conn) {
	r.releaseUser(userKey{id: id}, SignedOut)
	for s := range r.inAny([]string{UserRoom(id), unregisteredRoom(id), id}) {
		theirs := s.tokenKey.id == id || s.registered() && (s.key.id == id || s.key.anonymous && s.clientID == id)
		if !theirs || s.gone.Load() {
			continue
		}
		r.recordLastActive(s)
		for place := range s.entries {
			r.removeEntry(s, place, SignedOut)
		}
		s.gone.Store(true) // an event that is being handled puts nothing back
		sockets = append(sockets, s.conn)
	}
	return sockets
}

// closeSignedOut disconnects sockets that were signed out. r.mu is not held.
func (r *Rooms) closeSignedOut(sockets []Conn) {
	if len(sockets) == 0 {
		return
	}
	goodbye := r.sender.Encode(Event{Name: "signed_out"})
	for _, c := range sockets {
		c.Send(goodbye)
		c.Close(false)
	}
}

// RoomUsers is who is in a chat room, each name once, in order of joining.
func (r *Rooms) RoomUsers(room string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []string{}
	if ro := r.lists.byName[RoomList(room)]; ro != nil {
		for _, one := range ro.visibleNames(r.online.hidesSocket) {
			out = append(out, one.String())
		}
	}
	return out
}

// Messages is a room's history, oldest first. It may wait for the network.
func (r *Rooms) Messages(ctx context.Context, room string) ([]ChatMessage, error) {
	if r.options.Records == nil {
		return nil, nil
	}
	return r.options.Records.History(ctx, room)
}

// Emit sends an event to sockets of every instance. It returns a Refusal with
// code bad_event for a name that no server may send.
func (r *Rooms) Emit(m Broadcast) error {
	if err := CheckEvent(m.Event.Name); err != nil {
		return err
	}
	r.publish(m)
	return nil
}
