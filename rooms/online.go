package rooms

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// An onlineList is the replica of Online, grouped by user. What it lists depends on
// the entries alone, not on the order in which they came, so all instances list the
// same. It also keeps what was announced, and so what the next delta is. core.mu
// guards it.
type onlineList struct {
	sockets     map[string]*onlineSocket // by socket id
	users       map[userKey]*onlineUser
	order       sorted[*onlineUser] // those that are listed, in order of joining
	socketCount int                 // of the listed users
	bytes       int                 // of the listed users' data
	// What is sent, nil when it has to be made again.
	encodedList, encodedStatuses, encodedIDs json.RawMessage

	// strict lists each socket and not each user (COMPAT=strict): in socketOrder.
	strict      bool
	socketOrder sorted[*onlineSocket]

	// These changed since the last delta: announced users that are gone, in that order,
	// users that may differ, and listed users that were never announced. The number of
	// users bounds each.
	removed      []removal
	maybeUpdated []*onlineUser
	added        map[*onlineUser]struct{}
	reordered    bool // an announced user has another place

	// unadopted are users whose entries do not say all that counts, since when: see
	// trackAdoption.
	unadopted map[*onlineUser]time.Time
}

// An onlineUser is a user with at least one entry.
type onlineUser struct {
	key     userKey
	sockets []*onlineSocket // in order of registration: the last one's data is shown
	status  userStatus

	// These are of a listed user, whose place in onlineList.order is by rank.
	listed      bool
	rank        rank
	counted     int // its sockets in onlineList.socketCount
	data        json.RawMessage
	shownStatus Status

	announced    shownUser // its user is nil before the first delta
	maybeUpdated bool      // is in onlineList.maybeUpdated
}

// A shownUser is what clients see of a user.
type shownUser struct {
	user   json.RawMessage
	status Status
}

// An onlineSocket is one entry.
type onlineSocket struct {
	entry Entry
	user  *onlineUser
}

func compareJoined(a, b *onlineSocket) int { return rankOf(a.entry).compare(rankOf(b.entry)) }

func newOnlineList(strict bool) onlineList {
	return onlineList{
		sockets:     make(map[string]*onlineSocket),
		users:       make(map[userKey]*onlineUser),
		order:       sorted[*onlineUser]{compare: func(a, b *onlineUser) int { return a.rank.compare(b.rank) }},
		strict:      strict,
		socketOrder: sorted[*onlineSocket]{compare: compareJoined},
		added:       make(map[*onlineUser]struct{}),
		unadopted:   make(map[*onlineUser]time.Time),
	}
}

// put takes an entry.
func (l *onlineList) put(e Entry) {
	key := keyOf(e)
	s := l.sockets[e.Key]
	if s != nil && s.user.key != key { // the socket is another user from now on
		l.remove(e.Key, SignedOut)
		s = nil
	}
	if s == nil {
		u := l.users[key]
		if u == nil {
			u = &onlineUser{key: key}
			l.users[key] = u
		}
		s = &onlineSocket{user: u}
		l.sockets[e.Key] = s
	} else {
		l.detach(s)
	}
	u := s.user
	s.entry = e
	at, _ := u.find(registration(e))
	u.sockets = slices.Insert(u.sockets, at, s)
	u.status.add(e)
	if l.strict {
		l.socketOrder.add(s)
	}
	l.relist(u, Closed)
}

// remove takes a socket's entry away, and the user with the last one.
func (l *onlineList) remove(socket string, reason Reason) {
	s := l.sockets[socket]
	if s == nil {
		return
	}
	l.detach(s)
	delete(l.sockets, socket)
	if len(s.user.sockets) == 0 {
		delete(l.users, s.user.key)
	}
	l.relist(s.user, reason)
}

// detach takes a socket out of its places in the lists.
func (l *onlineList) detach(s *onlineSocket) {
	u := s.user
	if l.strict {
		l.socketOrder.remove(s)
	}
	u.status.remove(s.entry)
	at, _ := u.find(registration(s.entry))
	u.sockets = slices.Delete(u.sockets, at, at+1)
}

// find is where in the user's sockets a registration is, or would be.
func (u *onlineUser) find(of rank) (at int, found bool) {
	return slices.BinarySearchFunc(u.sockets, of, func(s *onlineSocket, of rank) int {
		return registration(s.entry).compare(of)
	})
}

// joinRank is the rank that a user's entries give: the first one's, but not from
// before the user became visible again.
func (u *onlineUser) joinRank() rank {
	first := rankOf(slices.MinFunc(u.sockets, compareJoined).entry)
	first.at = max(first.at, u.status.visibleAt)
	return first
}

// latestData is what was registered last.
func (u *onlineUser) latestData() json.RawMessage { return u.sockets[len(u.sockets)-1].entry.Data }

// relist lists a user, or lists it no more, as its entries say.
func (l *onlineList) relist(u *onlineUser, reason Reason) {
	status := u.status.current()
	listed := len(u.sockets) > 0 && status != Hidden
	if l.strict {
		l.dropEncoded()
	}
	switch {
	case listed && !u.listed:
		u.listed, u.shownStatus, u.rank, u.data = true, status, u.joinRank(), u.latestData()
		l.order.add(u)
		l.added[u] = struct{}{}
		l.bytes += len(u.data)
		l.dropEncoded()
	case listed:
		l.show(u, u.latestData())
		l.move(u, u.joinRank())
		if u.shownStatus != status {
			u.shownStatus = status
			l.markUpdated(u)
		}
	case u.listed:
		if status == Hidden && len(u.sockets) > 0 {
			reason = Hid
		}
		l.unlist(u, reason)
	}
	l.trackAdoption(u)
	l.socketCount -= u.counted
	u.counted = 0
	if listed {
		u.counted = len(u.sockets)
	}
	l.socketCount += u.counted
}

func (l *onlineList) unlist(u *onlineUser, reason Reason) {
	l.order.remove(u)
	l.bytes -= len(u.data)
	u.listed, u.data = false, nil
	l.dropEncoded()
	delete(l.added, u)
	if u.announced.user != nil {
		l.removed = append(l.removed, removal{u.announced.user, reason})
		u.announced = shownUser{}
	}
}

// show sets the data of a listed user.
func (l *onlineList) show(u *onlineUser, data json.RawMessage) {
	if !bytes.Equal(u.data, data) {
		l.bytes += len(data) - len(u.data)
		l.markUpdated(u)
	}
	u.data = data // even if it is the same: frees the old entry's copy
}

// move gives a listed user another place.
func (l *onlineList) move(u *onlineUser, to rank) {
	if u.rank == to {
		return
	}
	chunk, at, _ := l.order.find(u)
	l.order.remove(u)
	u.rank = to
	l.order.add(u)
	if c, a, _ := l.order.find(u); c != chunk || a != at {
		l.reordered = true
		l.dropEncoded()
	}
}

// markUpdated notes that a listed user may differ from what was announced.
func (l *onlineList) markUpdated(u *onlineUser) {
	l.dropEncoded()
	if u.announced.user != nil && !u.maybeUpdated {
		u.maybeUpdated = true
		l.maybeUpdated = append(l.maybeUpdated, u)
	}
}

// isListed reports whether the socket has a user who is visible.
func (l *onlineList) isListed(socket string) bool {
	s := l.sockets[socket]
	return s != nil && s.user.listed
}

// hidesSocket reports whether the user at this socket is hidden.
func (l *onlineList) hidesSocket(socket string) bool {
	s := l.sockets[socket]
	return s != nil && !s.user.listed
}

// hidesOwner reports whether the user who put an entry into a stage or race is
// hidden. What the entry's data says does not count: any client can say it.
func (l *onlineList) hidesOwner(e Entry) bool {
	if e.isAnonymous() {
		return l.hidesSocket(socketOf(e.Key))
	}
	u := l.users[userKey{id: e.UserID}]
	return u != nil && !u.listed
}

// withID returns the users with this id: with a user object that has it, or without
// one at the socket that has it.
func (l *onlineList) withID(id string) (users []*onlineUser) {
	for _, key := range []userKey{{id: id}, {id: id, anonymous: true}} {
		if u := l.users[key]; u != nil {
			users = append(users, u)
		}
	}
	return users
}

// chosenStatus is what a user's sockets agree on, and since when (epoch
// milliseconds); 0: nothing was chosen.
func (l *onlineList) chosenStatus(key userKey) (Status, int64) {
	if u := l.users[key]; u != nil && u.status.at > 0 {
		return u.status.current(), u.status.at
	}
	return Active, 0
}
