package rooms

import (
	"bytes"
	"container/list"
	"encoding/json"
	"slices"
)

// A view is the replica of all entries of Online, grouped by user. It knows
// what the receivers of increments were last told, and so what to tell them
// next. It has no lock of its own: Rooms.mu guards it.
type view struct {
	tabs  map[string]*tab // by socket id
	users map[userKey]*onlineUser
	// order has every listed *onlineUser in order of arrival. Those not
	// announced yet are its last ones, since nobody's place moves while listed.
	order *list.List
	// sockets is how many tabs the listed users have.
	sockets int
	// bytes is the size of all listed users' shown data.
	bytes int
	// What is sent, nil when it has to be made again.
	encodedList, encodedStatuses, encodedObject json.RawMessage

	// perSocket has every *tab in order of arrival, if that is what is listed
	// (COMPAT=strict); else nil.
	perSocket *list.List

	// What changed since the last diff: users that were announced before and
	// are gone, in that order, and users who may differ. Each is bounded by the
	// number of announced users.
	departed []departure
	touched  []*onlineUser
}

// An onlineUser is somebody with one entry or more.
type onlineUser struct {
	key      userKey
	tabs     *list.List // of *tab, the most recently put last
	shown    json.RawMessage
	presence presence

	// These are of a listed user: place is its place in view.order, nil for
	// somebody hidden; joinedAt is since when.
	place    *list.Element
	joinedAt int64
	counted  int // the tabs in view.sockets
	status   Status
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
	place *list.Element // in user.tabs
	row   *list.Element // in view.perSocket
}

// A departure is an announced user who is gone: with the data last announced.
type departure struct {
	user   json.RawMessage
	reason Reason
}

// A diff is how the view differs from what was last announced. Apply it in
// the order of its fields.
type diff struct {
	departed []departure
	updated  []update
	added    []shownUser // in order of arrival
}

type update struct {
	shownUser
	restated bool // the status is another
	changed  bool // the data is
}

func newView(perSocket bool) view {
	v := view{
		tabs:  make(map[string]*tab),
		users: make(map[userKey]*onlineUser),
		order: list.New(),
	}
	if perSocket {
		v.perSocket = list.New()
	}
	return v
}

// size is how many users are listed.
func (v *view) size() int { return v.order.Len() }

// put takes an entry, and returns the user it is of.
func (v *view) put(e Entry) *onlineUser {
	key := keyOf(e)
	t := v.tabs[e.Key]
	var row *list.Element
	if t != nil && t.user.key != key {
		row, t.row = t.row, nil // the socket keeps its row
		v.drop(t, SignedOut)    // and is somebody else from now on
		t = nil
	}
	if t == nil {
		t = &tab{user: v.userFor(key), row: row}
		t.place = t.user.tabs.PushBack(t)
		v.tabs[e.Key] = t
		v.enlist(t)
	} else {
		t.user.tabs.MoveToBack(t.place)
		t.user.presence.without(t.entry)
	}
	t.entry = e
	t.user.presence.with(e)
	v.show(t.user, e.Data)
	v.settle(t.user, Closed)
	return t.user
}

// enlist gives a tab a row of the list per socket, if there is one.
func (v *view) enlist(t *tab) {
	switch {
	case t.row != nil:
		t.row.Value = t
	case v.perSocket != nil:
		t.row = v.perSocket.PushBack(t)
	}
}

func (v *view) userFor(key userKey) *onlineUser {
	u := v.users[key]
	if u == nil {
		u = &onlineUser{key: key, tabs: list.New()}
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
	u.tabs.Remove(t.place)
	u.presence.without(t.entry)
	delete(v.tabs, t.entry.Key)
	if t.row != nil {
		v.perSocket.Remove(t.row)
	}
	if newest := u.tabs.Back(); newest != nil {
		v.show(u, newest.Value.(*tab).entry.Data)
	} else {
		delete(v.users, u.key)
	}
	v.settle(u, reason)
}

// show sets the data that stands for a user.
func (v *view) show(u *onlineUser, data json.RawMessage) {
	same := bytes.Equal(u.shown, data)
	if u.place != nil && !same {
		v.bytes += len(data) - len(u.shown)
		v.touch(u)
	}
	u.shown = data // even if it is the same: lets go of the old entry's copy
}

// settle lists a user, or lists it no more, as its entries say.
func (v *view) settle(u *onlineUser, reason Reason) {
	status := u.presence.status()
	listed := u.tabs.Len() > 0 && status != Hidden
	if v.perSocket != nil {
		v.forgetEncoded()
	}
	switch {
	case listed && u.place == nil:
		u.place = v.order.PushBack(u)
		u.joinedAt = u.tabs.Back().Value.(*tab).entry.JoinedAt
		u.status = status
		v.bytes += len(u.shown)
		v.forgetEncoded()
	case !listed && u.place != nil:
		if status == Hidden && u.tabs.Len() > 0 {
			reason = Hid
		}
		v.order.Remove(u.place)
		u.place = nil
		v.bytes -= len(u.shown)
		v.forgetEncoded()
		if u.announced.user != nil {
			v.departed = append(v.departed, departure{u.announced.user, reason})
			u.announced = shownUser{}
		}
	case listed && u.status != status:
		u.status = status
		v.touch(u)
	}
	v.sockets -= u.counted
	u.counted = 0
	if listed {
		u.counted = u.tabs.Len()
	}
	v.sockets += u.counted
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
	return u != nil && u.place == nil
}

// listed reports whether the socket has a user whom others can see.
func (v *view) listed(socket string) bool {
	t := v.tabs[socket]
	return t != nil && t.user.place != nil
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
	return t != nil && t.user.place == nil
}

// changed reports whether the next diff may have something in it.
func (v *view) changed() bool {
	newest := v.order.Back()
	return len(v.departed) > 0 || len(v.touched) > 0 ||
		newest != nil && newest.Value.(*onlineUser).announced.user == nil
}

// diff returns the net changes since the last call and takes them as told:
// who came and went in between does not appear, who went and came back does
// twice, since the place in the list is another.
func (v *view) diff() diff {
	d := diff{departed: v.departed}
	for _, u := range v.touched {
		u.touched = false
		if u.announced.user == nil { // gone, or gone and back
			continue
		}
		restated, changed := u.announced.status != u.status, !bytes.Equal(u.announced.user, u.shown)
		if restated || changed {
			u.announced = shownUser{u.shown, u.status}
			d.updated = append(d.updated, update{u.announced, restated, changed})
		}
	}
	v.departed, v.touched = nil, nil

	first := v.order.Back()
	for first != nil && first.Value.(*onlineUser).announced.user == nil {
		first = first.Prev()
	}
	if first == nil {
		first = v.order.Front()
	} else {
		first = first.Next()
	}
	for ; first != nil; first = first.Next() {
		u := first.Value.(*onlineUser)
		u.announced = shownUser{u.shown, u.status}
		d.added = append(d.added, u.announced)
	}
	return d
}

// relists reports whether the list is another, and not only somebody's status.
func (d diff) relists() bool {
	return len(d.departed) > 0 || len(d.added) > 0 ||
		slices.ContainsFunc(d.updated, func(u update) bool { return u.changed })
}

func (d diff) empty() bool {
	return len(d.departed) == 0 && len(d.updated) == 0 && len(d.added) == 0
}
