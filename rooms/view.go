package rooms

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// An onlineList is the replica of all entries of Online, grouped by user. What it lists
// depends on the entries alone, and not on the order in which they came: so all
// instances list the same. It knows what the receivers of deltas were last
// told, and so what to tell them next. It has no lock of its own: Rooms.mu guards
// it.
type onlineList struct {
	sockets map[string]*onlineSocket // by socket id
	users   map[userKey]*onlineUser
	order   sorted[*onlineUser] // who is listed, in order of joining
	// socketCount is how many sockets the listed users have.
	socketCount int
	// bytes is the size of all listed users' shown data.
	bytes int
	// What is sent, nil when it has to be made again.
	encodedList, encodedStatuses, encodedIDs json.RawMessage

	// strict: listed is each socket and not each user (COMPAT=strict). Then rows
	// has them, in order of joining.
	strict      bool
	socketOrder sorted[*onlineSocket]

	// What changed since the last diff: users that were announced before and
	// are gone, in that order, users who may differ, and listed users who were
	// never announced. Each is bounded by the number of users. moved: an
	// announced user has another place.
	removed      []removal
	maybeUpdated []*onlineUser
	added        map[*onlineUser]struct{}
	reordered    bool

	// unadopted are users of whom something counts that no entry says any more,
	// since when: see forget.
	unadopted map[*onlineUser]time.Time
}

// An onlineUser is somebody with one entry or more.
type onlineUser struct {
	key     userKey
	sockets []*onlineSocket // in order of registration: the last one's data is shown
	data    json.RawMessage
	status  userStatus

	// These are of a listed user, who is in view.order by place.
	listed      bool
	rank        rank
	counted     int // the sockets in view.sockets
	shownStatus Status
	// announced is what receivers of deltas have; its user is nil before
	// the first diff with this user.
	announced    shownUser
	maybeUpdated bool // is in view.touched
}

// A shownUser is what clients are told of somebody.
type shownUser struct {
	user   json.RawMessage
	status Status
}

// An onlineSocket is one entry in the online list.
type onlineSocket struct {
	entry Entry
	user  *onlineUser
}

func newOnlineList(strict bool) onlineList {
	return onlineList{
		sockets:     make(map[string]*onlineSocket),
		users:       make(map[userKey]*onlineUser),
		order:       newSorted(func(a, b *onlineUser) int { return a.rank.compare(b.rank) }),
		strict:      strict,
		socketOrder: newSorted(func(a, b *onlineSocket) int { return rankOf(a.entry).compare(rankOf(b.entry)) }),
		added:       make(map[*onlineUser]struct{}),

		unadopted: make(map[*onlineUser]time.Time),
	}
}

// size is how many users are listed.
func (v *onlineList) size() int { return v.order.size }

// put takes an entry, and returns the user it is of.
func (v *onlineList) put(e Entry) *onlineUser {
	key := keyOf(e)
	t := v.sockets[e.Key]
	if t != nil && t.user.key != key {
		v.drop(t, SignedOut) // the socket is somebody else from now on
		t = nil
	}
	if t == nil {
		t = &onlineSocket{user: v.userFor(key)}
		v.sockets[e.Key] = t
	} else {
		v.detach(t)
	}
	v.attach(t, e)
	v.relist(t.user, Closed)
	return t.user
}

// attach gives a socket its entry, and its places among the others.
func (v *onlineList) attach(t *onlineSocket, e Entry) {
	u := t.user
	t.entry = e
	at, _ := u.find(registration(e))
	u.sockets = slices.Insert(u.sockets, at, t)
	u.status.add(e)
	if v.strict {
		v.socketOrder.add(t)
	}
}

// detach is the reverse.
func (v *onlineList) detach(t *onlineSocket) {
	u := t.user
	if v.strict {
		v.socketOrder.remove(t)
	}
	u.status.remove(t.entry)
	at, _ := u.find(registration(t.entry))
	u.sockets = slices.Delete(u.sockets, at, at+1)
}

// find is where in the user's sockets a registration is, or would be.
func (u *onlineUser) find(of rank) (at int, found bool) {
	if n := len(u.sockets); n > 0 && registration(u.sockets[n-1].entry).compare(of) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(u.sockets, of, func(t *onlineSocket, of rank) int { return registration(t.entry).compare(of) })
}

func (v *onlineList) userFor(key userKey) *onlineUser {
	u := v.users[key]
	if u == nil {
		u = &onlineUser{key: key}
		v.users[key] = u
	}
	return u
}

// remove takes away what is at a socket.
func (v *onlineList) remove(socket string, reason Reason) {
	if t := v.sockets[socket]; t != nil {
		v.drop(t, reason)
	}
}

// drop takes a socket away, and the user with the last one.
func (v *onlineList) drop(t *onlineSocket, reason Reason) {
	u := t.user
	v.detach(t)
	delete(v.sockets, t.entry.Key)
	if len(u.sockets) == 0 {
		delete(v.users, u.key)
	}
	v.relist(u, reason)
}

// joinRank is the place that a user's entries give: the first one's, but none from
// before the user became visible again.
func (u *onlineUser) joinRank() rank {
	first := rankOf(u.sockets[0].entry) // mostly the only one
	for _, t := range u.sockets[1:] {
		if r := rankOf(t.entry); r.compare(first) < 0 {
			first = r
		}
	}
	first.at = max(first.at, u.status.visibleAt)
	return first
}

// relist lists a user, or lists it no more, as its entries say.
func (v *onlineList) relist(u *onlineUser, reason Reason) {
	status := u.status.current()
	listed := len(u.sockets) > 0 && status != Hidden
	if v.strict {
		v.dropEncoded()
	}
	switch {
	case listed && !u.listed:
		u.listed, u.shownStatus = true, status
		u.rank = u.joinRank()
		u.data = u.latestData()
		v.order.add(u)
		v.added[u] = struct{}{}
		v.bytes += len(u.data)
		v.dropEncoded()
	case listed:
		v.show(u, u.latestData())
		v.move(u, u.joinRank())
		if u.shownStatus != status {
			u.shownStatus = status
			v.markUpdated(u)
		}
	case u.listed:
		if status == Hidden && len(u.sockets) > 0 {
			reason = Hid
		}
		v.unlist(u, reason)
	}
	v.trackAdoption(u)
	v.socketCount -= u.counted
	u.counted = 0
	if listed {
		u.counted = len(u.sockets)
	}
	v.socketCount += u.counted
}

// unlist takes a user out of the list.
func (v *onlineList) unlist(u *onlineUser, reason Reason) {
	v.order.remove(u)
	u.listed = false
	v.bytes -= len(u.data)
	u.data = nil
	v.dropEncoded()
	delete(v.added, u)
	if u.announced.user != nil {
		v.removed = append(v.removed, removal{u.announced.user, reason})
		u.announced = shownUser{}
	}
}

// latestData is the data that was registered last.
func (u *onlineUser) latestData() json.RawMessage { return u.sockets[len(u.sockets)-1].entry.Data }

// show sets the data that stands for a listed user.
func (v *onlineList) show(u *onlineUser, data json.RawMessage) {
	if !bytes.Equal(u.data, data) {
		v.bytes += len(data) - len(u.data)
		v.markUpdated(u)
	}
	u.data = data // even if it is the same: lets go of the old entry's copy
}

// move gives a listed user another place.
func (v *onlineList) move(u *onlineUser, place rank) {
	if u.rank == place {
		return
	}
	chunk, at, _ := v.order.find(u)
	v.order.remove(u)
	u.rank = place
	v.order.add(u)
	if c, a, _ := v.order.find(u); c != chunk || a != at {
		v.reordered = true
		v.dropEncoded()
	}
}

// markUpdated notes that a listed user may differ from what was announced.
func (v *onlineList) markUpdated(u *onlineUser) {
	v.dropEncoded()
	if u.announced.user != nil && !u.maybeUpdated {
		u.maybeUpdated = true
		v.maybeUpdated = append(v.maybeUpdated, u)
	}
}

func (v *onlineList) dropEncoded() {
	v.encodedList, v.encodedStatuses, v.encodedIDs = nil, nil, nil
}

// hides reports whether the user is there and hidden.
func (v *onlineList) hides(key userKey) bool {
	u := v.users[key]
	return u != nil && !u.listed
}

// listed reports whether the socket has a user whom others can see.
func (v *onlineList) listed(socket string) bool {
	t := v.sockets[socket]
	return t != nil && t.user.listed
}

// hidesOwner reports whether the user who put an entry into a stage or race is
// hidden. What the entry says of itself does not count: anybody can say it.
func (v *onlineList) hidesOwner(e Entry) bool {
	if e.isAnonymous() {
		return v.hidesSocket(socketOf(e.Key))
	}
	return v.hides(userKey{id: e.UserID})
}

// hidesSocket reports whether the user at this socket is hidden.
func (v *onlineList) hidesSocket(socket string) bool {
	t := v.sockets[socket]
	return t != nil && !t.user.listed
}
