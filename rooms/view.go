package rooms

import (
	"bytes"
	"container/list"
	"encoding/json"
)

// A view is the replica of all entries, grouped by user. It knows what the
// receivers of increments were last told, and so what to tell them next. It
// has no lock of its own: Rooms.mu guards it.
type view struct {
	tabs  map[string]*tab // by socket id
	users map[userKey]*onlineUser
	// order has every *onlineUser in order of arrival. Those not announced
	// yet are its last ones, since nobody's place moves while online.
	order *list.List
	// bytes is the size of all users' shown data.
	bytes int
	// encoded is the list as JSON, nil when it has to be made again.
	encoded json.RawMessage

	// What changed since the last diff: users that were announced before and
	// are gone, in that order, and users whose data may differ. Each is
	// bounded by the number of announced users.
	departed []departure
	touched  []*onlineUser
}

// An onlineUser is somebody with one entry or more.
type onlineUser struct {
	key      userKey
	joinedAt int64
	place    *list.Element // in view.order
	tabs     *list.List    // of *tab, the most recently put last
	shown    json.RawMessage
	// announced is the data that receivers of increments have; nil before
	// the first diff with this user.
	announced json.RawMessage
	touched   bool // is in view.touched
	offline   bool
}

// A tab is one entry in the view.
type tab struct {
	entry Entry
	user  *onlineUser
	place *list.Element // in user.tabs
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
	updated  []json.RawMessage
	added    []json.RawMessage // in order of arrival
}

func newView() view {
	return view{
		tabs:  make(map[string]*tab),
		users: make(map[userKey]*onlineUser),
		order: list.New(),
	}
}

func (v *view) size() int { return len(v.users) }

// apply takes one change of the shared map.
func (v *view) apply(c Change) {
	if c.Removed {
		if t := v.tabs[c.Entry.Key]; t != nil {
			v.drop(t, c.Reason)
		}
		return
	}
	v.put(c.Entry)
}

func (v *view) put(e Entry) {
	key := keyOf(e)
	t := v.tabs[e.Key]
	if t != nil && t.user.key != key {
		v.drop(t, SignedOut) // the socket is somebody else from now on
		t = nil
	}
	if t == nil {
		t = &tab{user: v.userFor(key, e.JoinedAt)}
		t.place = t.user.tabs.PushBack(t)
		v.tabs[e.Key] = t
	} else {
		t.user.tabs.MoveToBack(t.place)
	}
	t.entry = e
	v.show(t.user, e.Data)
}

// userFor finds the user, or lets a new one arrive.
func (v *view) userFor(key userKey, joinedAt int64) *onlineUser {
	u := v.users[key]
	if u == nil {
		u = &onlineUser{key: key, joinedAt: joinedAt, tabs: list.New()}
		u.place = v.order.PushBack(u)
		v.users[key] = u
	}
	return u
}

// drop takes a tab away, and the user with the last one.
func (v *view) drop(t *tab, reason Reason) {
	u := t.user
	u.tabs.Remove(t.place)
	delete(v.tabs, t.entry.Key)
	if newest := u.tabs.Back(); newest != nil {
		v.show(u, newest.Value.(*tab).entry.Data)
		return
	}
	v.order.Remove(u.place)
	delete(v.users, u.key)
	v.bytes -= len(u.shown)
	v.encoded = nil
	u.offline = true
	if u.announced != nil {
		v.departed = append(v.departed, departure{u.announced, reason})
	}
}

// show sets the data that stands for a user.
func (v *view) show(u *onlineUser, data json.RawMessage) {
	if bytes.Equal(u.shown, data) {
		u.shown = data // lets go of the old entry's copy
		return
	}
	v.bytes += len(data) - len(u.shown)
	v.encoded = nil
	u.shown = data
	if u.announced != nil && !u.touched {
		u.touched = true
		v.touched = append(v.touched, u)
	}
}

// changed reports whether the next diff may have something in it.
func (v *view) changed() bool {
	newest := v.order.Back()
	return len(v.departed) > 0 || len(v.touched) > 0 ||
		newest != nil && newest.Value.(*onlineUser).announced == nil
}

// diff returns the net changes since the last call and takes them as told:
// who came and went in between does not appear, who went and came back does
// twice, since the place in the list is another.
func (v *view) diff() diff {
	d := diff{departed: v.departed}
	for _, u := range v.touched {
		u.touched = false
		if !u.offline && !bytes.Equal(u.announced, u.shown) {
			u.announced = u.shown
			d.updated = append(d.updated, u.shown)
		}
	}
	v.departed, v.touched = nil, nil

	first := v.order.Back()
	for first != nil && first.Value.(*onlineUser).announced == nil {
		first = first.Prev()
	}
	if first == nil {
		first = v.order.Front()
	} else {
		first = first.Next()
	}
	for ; first != nil; first = first.Next() {
		u := first.Value.(*onlineUser)
		u.announced = u.shown
		d.added = append(d.added, u.shown)
	}
	return d
}

func (d diff) empty() bool {
	return len(d.departed) == 0 && len(d.updated) == 0 && len(d.added) == 0
}

// list returns the users as a JSON array.
func (v *view) list() json.RawMessage {
	if v.encoded != nil {
		return v.encoded
	}
	out := make([]byte, 0, v.bytes+v.size()+2)
	out = append(out, '[')
	for e := v.order.Front(); e != nil; e = e.Next() {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, e.Value.(*onlineUser).shown...)
	}
	v.encoded = append(out, ']')
	return v.encoded
}
