package rooms

import (
	"container/list"
	"encoding/json"
	"strings"
)

// A roster is the replica of one list other than Online: the members of a chat
// room, the racers of a stage, the cars of a race. It has no lock of its own:
// Rooms.mu guards it. Only lists exist that have an entry or owe somebody.
type roster struct {
	list    string
	members map[string]*member // by key
	order   sorted[*member]    // in order of joining
	// use is the place in rosters.byUse, nil for a chat room.
	use *list.Element
	// usedAt is when something came to it last (epoch milliseconds).
	usedAt int64

	// dirty is the place in rosters.dirty, nil if there is nothing to tell.
	dirty *list.Element
	// changed: everybody in it is told at the next flush.
	changed bool
	// owed are the sessions that get it whole, changed or not.
	owed map[*session]owing

	names names // of a chat room
}

// A member is one entry.
type member struct {
	entry Entry
	name  *name // of a chat room's member, unless nobody may see it
	// id is what a racer or car says its id is: data of the client, which need
	// not be that of the user who put it there.
	id string
}

// An owing is of a session that is owed a roster: whether it was told of it
// before, and the names that it had and has there.
type owing struct {
	follows bool
	own     []*name
}

// rosters are all lists but Online. Rooms.mu guards them.
type rosters struct {
	instance string // whose entries are our own
	byList   map[string]*roster
	// dirty has those with something to tell, in that order.
	dirty list.List
	// byUse has the stages and races, the latest used last, and own is what this
	// instance's entries in them weigh, in bytes.
	byUse list.List
	own   int
}

func newRosters(instance string) rosters {
	return rosters{instance: instance, byList: make(map[string]*roster)}
}

// isRoom, isStage and isRace tell the kinds of lists apart.
func isRoom(list string) bool  { return strings.HasPrefix(list, RoomList("")) }
func isStage(list string) bool { return strings.HasPrefix(list, stageList("")) }
func isRace(list string) bool  { return strings.HasPrefix(list, raceList("")) }

func stageList(token string) string { return "stage:" + token }
func raceList(race string) string   { return "race:" + race }

// titleOf is what a list is called without its kind.
func titleOf(list string) string { return list[strings.IndexByte(list, ':')+1:] }

// socketOf is the socket that an entry is of: its key up to a number.
func socketOf(key string) string {
	socket, _, _ := strings.Cut(key, "#")
	return socket
}

// at finds a roster, or makes an empty one.
func (rs *rosters) at(list string) *roster {
	ro := rs.byList[list]
	if ro == nil {
		ro = newRoster(list)
		if !isRoom(list) {
			ro.use = rs.byUse.PushBack(ro)
		}
		rs.byList[list] = ro
	}
	return ro
}

func newRoster(name string) *roster {
	return &roster{
		list:    name,
		members: make(map[string]*member),
		order:   newSorted(func(a, b *member) int { return rankOf(a.entry).compare(rankOf(b.entry)) }),
	}
}

// used notes that something happens in a stage or race.
func (rs *rosters) used(ro *roster, now int64) {
	ro.usedAt = now
	if ro.use != nil {
		rs.byUse.MoveToBack(ro.use)
	}
}

// stain puts a roster among those with something to tell.
func (rs *rosters) stain(ro *roster) {
	if ro.dirty == nil {
		ro.dirty = rs.dirty.PushBack(ro)
	}
}

// forgetEmpty lets go of a roster that has nothing and owes nobody.
func (rs *rosters) forgetEmpty(ro *roster) {
	if len(ro.members) == 0 && ro.dirty == nil {
		delete(rs.byList, ro.list)
		if ro.use != nil {
			rs.byUse.Remove(ro.use)
		}
	}
}

// put takes an entry. Who is hidden is in no list.
func (rs *rosters) put(e Entry, now int64) {
	if e.Status == Hidden {
		rs.remove(e.EntryKey)
		return
	}
	ro := rs.at(e.List)
	m := ro.members[e.Key]
	shown := true
	if m == nil {
		m = &member{}
		ro.members[e.Key] = m
	} else {
		shown = !reowns(m.entry, e)
		rs.weigh(ro, m.entry, -1)
		ro.order.remove(m)
		if string(m.entry.Data) != string(e.Data) {
			ro.unname(m)
		}
	}
	m.take(e)
	ro.order.add(m)
	ro.name(m)
	rs.weigh(ro, e, 1)
	rs.used(ro, now)
	if shown {
		ro.changed = true
		rs.stain(ro)
	}
}

// reowns reports whether an entry takes the place of one that differs in its owner
// only, which nobody sees. Telling the list again would set cars back to where
// they started.
func reowns(before, e Entry) bool {
	isOthers := before.UserID != e.UserID
	before.UserID = e.UserID
	return isOthers && rankOf(before) == rankOf(e) && before.Status == e.Status && string(before.Data) == string(e.Data)
}

// take sets the member's entry.
func (m *member) take(e Entry) {
	m.entry, m.id = e, ""
	if !isRoom(e.List) {
		m.id, _ = idText(fields([]json.RawMessage{e.Data})["id"]) // what is none is ""
	}
}

// remove takes an entry away. It is no use of the list: or what one instance
// gives up because it is old would be young for the others.
func (rs *rosters) remove(p EntryKey) {
	ro := rs.byList[p.List]
	if ro == nil {
		return
	}
	m := ro.members[p.Key]
	if m == nil {
		return
	}
	ro.order.remove(m)
	delete(ro.members, p.Key)
	ro.unname(m)
	rs.weigh(ro, m.entry, -1)
	ro.changed = true
	rs.stain(ro)
}

// weigh accounts for an entry that comes or goes. Chat rooms are bounded by
// their members' sockets, stages and races by what they weigh.
func (rs *rosters) weigh(ro *roster, e Entry, sign int) {
	if ro.use != nil && e.Instance == rs.instance {
		rs.own += sign * weightOf(e)
	}
}

// weightOf is what an entry costs in memory, about, in bytes; it may be the only
// one of its roster.
func weightOf(e Entry) int { return len(e.List) + len(e.Key) + len(e.Data) + 1024 }

// nameOf is the name of a member, nil if it has none that may be seen.
func (rs *rosters) nameOf(p EntryKey) *name {
	if ro := rs.byList[p.List]; ro != nil && ro.members[p.Key] != nil {
		return ro.members[p.Key].name
	}
	return nil
}

// joined is the time of the first member with a name, 0 if there is none.
func (rs *rosters) joined(list string, text json.RawMessage) int64 {
	ro := rs.byList[list]
	if ro == nil || ro.names.byText[string(text)] == nil {
		return 0
	}
	for m := range ro.order.all() {
		if m.name != nil && string(m.name.text) == string(text) {
			return m.entry.JoinedAt
		}
	}
	return 0
}

// name gives a chat room's member its name among the names. It is given at
// once: a name stays whose last socket but this one goes.
func (ro *roster) name(m *member) {
	if m.name == nil && isRoom(ro.list) {
		m.name = ro.names.add(m.entry.Data)
	}
}

// unname takes a member's name out of the names.
func (ro *roster) unname(m *member) {
	if m.name != nil {
		ro.names.drop(m.name)
		m.name = nil
	}
}

// present is the names in a chat room that may be seen, each once, in order of
// joining. Who may be seen may have changed without the room: when a user hides,
// the tabs that other instances have of the user follow a little later.
func (ro *roster) present(hidden func(socket string) bool) []*name {
	for m := range ro.order.all() {
		if hidden(m.entry.Key) {
			ro.unname(m)
		} else {
			ro.name(m)
		}
	}
	out := make([]*name, 0, len(ro.names.byText))
	ro.names.walk++
	for m := range ro.order.all() {
		if m.name != nil && m.name.walk != ro.names.walk {
			m.name.walk = ro.names.walk
			out = append(out, m.name)
		}
	}
	return out
}

// owe notes that a session gets the whole roster with the next flush.
func (rs *rosters) owe(list string, s *session, o owing) {
	ro := rs.at(list)
	if ro.owed == nil {
		ro.owed = make(map[*session]owing, 1)
	}
	if before, owed := ro.owed[s]; owed {
		o = owing{before.follows, append(before.own, o.own...)}
	}
	ro.owed[s] = o
	rs.stain(ro)
}

// array is the entries' data as a JSON array, without those that are hidden;
// with unique, of those with the same id only the first.
func (ro *roster) array(unique bool, hidden func(Entry) bool) json.RawMessage {
	out := []byte{'['}
	seen := make(map[string]bool)
	for m := range ro.order.all() {
		if unique && seen[m.id] || hidden(m.entry) {
			continue
		}
		seen[m.id] = true
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, m.entry.Data...)
	}
	return append(out, ']')
}

// of is what a socket has put there.
func (ro *roster) of(socket string) (out []member) {
	for m := range ro.order.all() {
		if socketOf(m.entry.Key) == socket {
			out = append(out, *m)
		}
	}
	return out
}
