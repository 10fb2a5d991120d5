package rooms

import (
	"context"
	"encoding/json"
	"slices"
)

// This file has what the HTTP API asks for.

type fromApp struct{}

// FromApp marks requests of the application's server: they never wait behind others.
func FromApp(ctx context.Context) context.Context { return context.WithValue(ctx, fromApp{}, true) }

// IsFromApp reports whether FromApp has marked ctx.
func IsFromApp(ctx context.Context) bool { return ctx.Value(fromApp{}) != nil }

// UserInfo is what may be known of a user.
type UserInfo struct {
	ID         string
	Online     bool
	Status     Status // of a user who is online
	Since      int64  // has been online (epoch milliseconds)
	LastActive int64  // epoch milliseconds, 0 if it is not remembered
}

// User tells about a user; a hidden one is offline. It may wait for the network, within
// ctx; if that fails, it tells what this instance knows.
func (r *Rooms) User(ctx context.Context, id string) UserInfo {
	info := UserInfo{ID: id}
	var local int64
	r.mu.Lock()
	if users := r.online.withID(id); len(users) > 0 && users[0].listed {
		u := users[0]
		info.Online, info.Status, info.Since = true, u.shownStatus, u.rank.at/1000
		local = info.Since
		for _, socket := range u.sockets {
			if s := r.sessions.byID[socket.entry.Key]; s != nil {
				local = max(local, s.activeAt.Load())
			}
		}
	}
	r.mu.Unlock()
	info.LastActive, _ = r.options.Records.LastActive(ctx, id) // else 0
	info.LastActive = max(info.LastActive, local)
	return info
}

// IsHidden reports whether a user has sockets and hides them.
func (r *Rooms) IsHidden(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.online.withID(id), func(u *onlineUser) bool { return u.status.current() == Hidden })
}

// Sockets is how many registered sockets a user has, on all instances.
func (r *Rooms) Sockets(id string) (sockets int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.online.withID(id) {
		sockets += len(u.sockets)
	}
	return sockets
}

// SignOut signs a user out on every instance: the sockets get signed_out and are
// disconnected. It returns how many there are.
func (r *Rooms) SignOut(id string) (sockets int) {
	sockets = r.Sockets(id)
	r.mu.Lock()
	r.store.SignOut(id)
	signedOut := r.signOut(id)
	r.mu.Unlock()
	r.closeSignedOut(signedOut)
	return sockets
}

// signOut signs a user out here, and returns the sockets to be disconnected.
func (r *Rooms) signOut(id string) (sockets []Conn) {
	r.releaseUser(userKey{id: id}, SignedOut)
	for s := range r.sessions.inAny([]string{UserRoom(id), unregisteredRoom(id), id}) {
		theirs := s.tokenKey.id == id || s.registered.Load() && (s.key.id == id || s.key.anonymous && s.clientID == id)
		if !theirs || s.gone.Load() {
			continue
		}
		r.recordLastActive(s)
		for key := range s.entries {
			r.removeEntry(s, key, SignedOut)
		}
		s.gone.Store(true) // an event that is being handled puts nothing back
		sockets = append(sockets, s.conn)
	}
	return sockets
}

// closeSignedOut disconnects sockets that were signed out, at once: a shutdown may come
// before the next flush. mu is not held.
func (r *Rooms) closeSignedOut(sockets []Conn) {
	if len(sockets) == 0 {
		return
	}
	event := r.sender.Encode(Event{Name: "signed_out"})
	for _, c := range sockets {
		c.Send(event)
		c.Close(false)
	}
}

// OnlineUsers returns the list as a JSON array. The bytes are shared and must not change.
func (r *Rooms) OnlineUsers() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.online.encodeList()
}

// RoomUsers are the usernames in a chat room, each once, in order of joining.
func (r *Rooms) RoomUsers(room string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []string{}
	if l := r.lists.byName[RoomList(room)]; l != nil {
		for _, one := range l.visibleNames(r.online.hidesSocket) {
			var text string
			_ = json.Unmarshal(one.text, &text) // it was made by encode
			out = append(out, text)
		}
	}
	return out
}

// Messages is a chat room's history, oldest first. It may wait for the network.
func (r *Rooms) Messages(ctx context.Context, room string) ([]ChatMessage, error) {
	return r.options.Records.History(ctx, room)
}

// Emit publishes an event to sockets of every instance. It returns a Refusal with code
// bad_event for a name that no server may send.
func (r *Rooms) Emit(b Broadcast) error {
	if err := CheckEvent(b.Event.Name); err != nil {
		return err
	}
	r.options.Bus.Publish(b)
	return nil
}
