package rooms

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// A view is the replica of all entries of Online, grouped by user. What it lists
// depends on the entries alone, and not on the order in which they came: so all
// instances list the same. It knows what the receivers of increments were last
// told, and so what to tell them next. It has no lock of its own: Rooms.mu guards
// it.
type view struct {
	tabs  map[string]*tab // by socket id
	users map[userKey]*onlineUser
	order sorted[*onlineUser] // who is listed, in order of joining
	// sockets is how many tabs the listed users have.
	sockets int
	// bytes is the size of all listed users' shown data.
	bytes int
	// What is sent, nil when it has to be made again.
	encodedList, encodedStatuses, encodedObject json.RawMessage

	// strict: listed is each tab and not each user (COMPAT=strict). Then rows
	// has them, in order of joining.
	strict bool
	rows   sorted[*tab]

	// What changed since the last diff: users that were announced before and
	// are gone, in that order, users who may differ, and listed users who were
	// never announced. Each is bounded by the number of users. moved: an
	// announced user has another place.
	departed []departure
	touched  []*onlineUser
	arrived  map[*onlineUser]struct{}
	moved    bool

	// remembered are users of whom something counts that no entry says any more,
	// since when: see forget.
	remembered map[*onlineUser]time.Time
}

// An onlineUser is somebody with one entry or more.
type onlineUser struct {
	key      userKey
	tabs     []*tab // in order of registration: the last one's data is shown
	shown    json.RawMessage
	presence presence

	// These are of a listed user, who is in view.order by place.
	listed  bool
	place   rank
	counted int // the tabs in view.sockets
	status  Status
	// announced is what receivers of increments have; its user is nil before
	// the first diff with this user.
	announced shownUser
	touched   bool // is in view.touched
}

// A shownUser is what clients are told of somebody.
type shownUser struct {
	user   json.RawMessage
	status Status
}

// A tab is one entry in the view.
type tab struct {
	entry Entry
	user  *onlineUser
}

func newView(strict bool) view {
	return view{
		tabs:    make(map[string]*tab),
		users:   make(map[userKey]*onlineUser),
		order:   newSorted(func(a, b *onlineUser) int { return a.place.compare(b.place) }),
		strict:  strict,
		rows:    newSorted(func(a, b *tab) int { return rankOf(a.entry).compare(rankOf(b.entry)) }),
		arrived: make(map[*onlineUser]struct{}),

		remembered: make(map[*onlineUser]time.Time),
	}
}

// size is how many users are listed.
func (v *view) size() int { return v.order.size }

// put takes an entry, and returns the user it is of.
func (v *view) put(e Entry) *onlineUser {
	key := keyOf(e)
	t := v.tabs[e.Key]
	if t != nil && t.user.key != key {
		v.drop(t, SignedOut) // the socket is somebody else from now on
		t = nil
	}
	if t == nil {
		t = &tab{user: v.userFor(key)}
		v.tabs[e.Key] = t
	} else {
		v.detach(t)
	}
	v.attach(t, e)
	v.settle(t.user, Closed)
	return t.user
}

// attach gives a tab its entry, and its places among the others.
func (v *view) attach(t *tab, e Entry) {
	u := t.user
	t.entry = e
	at, _ := u.find(registration(e))
	u.tabs = slices.Insert(u.tabs, at, t)
	u.presence.with(e)
	if v.strict {
		v.rows.add(t)
	}
}

// detach is the reverse.
func (v *view) detach(t *tab) {
	u := t.user
	if v.strict {
		v.rows.remove(t)
	}
	u.presence.without(t.entry)
	at, _ := u.find(registration(t.entry))
	u.tabs = slices.Delete(u.tabs, at, at+1)
}

// find is where in the user's tabs a registration is, or would be.
func (u *onlineUser) find(of rank) (at int, found bool) {
	if n := len(u.tabs); n > 0 && registration(u.tabs[n-1].entry).compare(of) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(u.tabs, of, func(t *tab, of rank) int { return registration(t.entry).compare(of) })
}

func (v *view) userFor(key userKey) *onlineUser {
	u := v.users[key]
	if u == nil {
		u = &onlineUser{key: key}
		v.users[key] = u
	}
	return u
}

// remove takes away what is at a socket.
func (v *view) remove(socket string, reason Reason) {
	if t := v.tabs[socket]; t != nil {
		v.drop(t, reason)
	}
}

// drop takes a tab away, and the user with the last one.
func (v *view) drop(t *tab, reason Reason) {
	u := t.user
	v.detach(t)
	delete(v.tabs, t.entry.Key)
	if len(u.tabs) == 0 {
		delete(v.users, u.key)
	}
	v.settle(u, reason)
}

// joined is the place that a user's entries give: the first one's, but none from
// before the user became visible again.
func (u *onlineUser) joined() rank {
	first := rankOf(u.tabs[0].entry) // mostly the only one
	for _, t := range u.tabs[1:] {
		if r := rankOf(t.entry); r.compare(first) < 0 {
			first = r
		}
	}
	first.at = max(first.at, u.presence.visibleAt)
	return first
}

// settle lists a user, or lists it no more, as its entries say.
func (v *view) settle(u *onlineUser, reason Reason) {
	status := u.presence.status()
	listed := len(u.tabs) > 0 && status != Hidden
	if v.strict {
		v.forgetEncoded()
	}
	switch {
	case listed && !u.listed:
		u.listed, u.status = true, status
		u.place = u.joined()
		u.shown = u.newest()
		v.order.add(u)
		v.arrived[u] = struct{}{}
		v.bytes += len(u.shown)
		v.forgetEncoded()
	case listed:
		v.show(u, u.newest())
		v.move(u, u.joined())
		if u.status != status {
			u.status = status
			v.touch(u)
		}
	case u.listed:
		if status == Hidden && len(u.tabs) > 0 {
			reason = Hid
		}
		v.unlist(u, reason)
	}
	v.remember(u)
	v.sockets -= u.counted
	u.counted = 0
	if listed {
		u.counted = len(u.tabs)
	}
	v.sockets += u.counted
}

// unlist takes a user out of the list.
func (v *view) unlist(u *onlineUser, reason Reason) {
	v.order.remove(u)
	u.listed = false
	v.bytes -= len(u.shown)
	u.shown = nil
	v.forgetEncoded()
	delete(v.arrived, u)
	if u.announced.user != nil {
		v.departed = append(v.departed, departure{u.announced.user, reason})
		u.announced = shownUser{}
	}
}

// newest is the data that was registered last.
func (u *onlineUser) newest() json.RawMessage { return u.tabs[len(u.tabs)-1].entry.Data }

// show sets the data that stands for a listed user.
func (v *view) show(u *onlineUser, data json.RawMessage) {
	if !bytes.Equal(u.shown, data) {
		v.bytes += len(data) - len(u.shown)
		v.touch(u)
	}
	u.shown = data // even if it is the same: lets go of the old entry's copy
}

// move gives a listed user another place.
func (v *view) move(u *onlineUser, place rank) {
	if u.place == place {
		return
	}
	chunk, at, _ := v.order.find(u)
	v.order.remove(u)
	u.place = place
	v.order.add(u)
	if c, a, _ := v.order.find(u); c != chunk || a != at {
		v.moved = true
		v.forgetEncoded()
	}
}

// touch notes that a listed user may differ from what was announced.
func (v *view) touch(u *onlineUser) {
	v.forgetEncoded()
	if u.announced.user != nil && !u.touched {
		u.touched = true
		v.touched = append(v.touched, u)
	}
}

func (v *view) forgetEncoded() {
	v.encodedList, v.encodedStatuses, v.encodedObject = nil, nil, nil
}

// hides reports whether the user is there and hidden.
func (v *view) hides(key userKey) bool {
	u := v.users[key]
	return u != nil && !u.listed
}

// listed reports whether the socket has a user whom others can see.
func (v *view) listed(socket string) bool {
	t := v.tabs[socket]
	return t != nil && t.user.listed
}

// hidesOwner reports whether the user who put an entry into a stage or race is
// hidden. What the entry says of itself does not count: anybody can say it.
func (v *view) hidesOwner(e Entry) bool {
	if e.isAnonymous() {
		return v.hidesTab(socketOf(e.Key))
	}
	return v.hides(userKey{id: e.UserID})
}

// hidesTab reports whether the user at this socket is hidden.
func (v *view) hidesTab(socket string) bool {
	t := v.tabs[socket]
	return t != nil && !t.user.listed
}
