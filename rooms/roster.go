package rooms

import (
	"container/list"
	"encoding/json"
	"strings"
)

// A memberList is the replica of one list other than Online: the members of a chat
// room, the racers of a stage, the cars of a race. It has no lock of its own:
// Rooms.mu guards it. Only lists exist that have an entry or owe somebody.
type memberList struct {
	name    string
	members map[string]*member // by key
	order   sorted[*member]    // in order of joining
	// useElement is the place in lists.byUse, nil for a chat room.
	useElement *list.Element
	// usedAt is when something came to it last (epoch milliseconds).
	usedAt int64

	// dirtyElement is the place in lists.dirty, nil if there is nothing to tell.
	dirtyElement *list.Element
	// changed: everybody in it is told at the next flush.
	changed bool
	// snapshots are the sessions that get it whole, changed or not.
	snapshots map[*session]snapshotRequest

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

// A snapshotRequest is of a session that is owed a list: whether it was told of it
// before, and the names that it had and has there.
type snapshotRequest struct {
	hasSnapshot bool
	ownNames    []*name
}

// memberLists are all lists but Online. Rooms.mu guards them.
type memberLists struct {
	instance string // whose entries are our own
	byName   map[string]*memberList
	// dirty has those with something to tell, in that order.
	dirty list.List
	// byUse has the stages and races, the latest used last, and own is what this
	// instance's entries in them weigh, in bytes.
	byUse    list.List
	ownBytes int
}

func newMemberLists(instance string) memberLists {
	return memberLists{instance: instance, byName: make(map[string]*memberList)}
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

// get finds a list, or makes an empty one.
func (rs *memberLists) get(list string) *memberList {
	ro := rs.byName[list]
	if ro == nil {
		ro = newMemberList(list)
		if !isRoom(list) {
			ro.useElement = rs.byUse.PushBack(ro)
		}
		rs.byName[list] = ro
	}
	return ro
}

func newMemberList(name string) *memberList {
	return &memberList{
		name:    name,
		members: make(map[string]*member),
		order:   newSorted(func(a, b *member) int { return rankOf(a.entry).compare(rankOf(b.entry)) }),
	}
}

// markUsed notes that something happens in a stage or race.
func (rs *memberLists) markUsed(ro *memberList, now int64) {
	ro.usedAt = now
	if ro.useElement != nil {
		rs.byUse.MoveToBack(ro.useElement)
	}
}

// markDirty puts a list among those with something to tell.
func (rs *memberLists) markDirty(ro *memberList) {
	if ro.dirtyElement == nil {
		ro.dirtyElement = rs.dirty.PushBack(ro)
	}
}

// dropIfEmpty lets go of a list that has nothing and owes nobody.
func (rs *memberLists) dropIfEmpty(ro *memberList) {
	if len(ro.members) == 0 && ro.dirtyElement == nil {
		delete(rs.byName, ro.name)
		if ro.useElement != nil {
			rs.byUse.Remove(ro.useElement)
		}
	}
}

// put takes an entry. Who is hidden is in no list.
func (rs *memberLists) put(e Entry, now int64) {
	if e.Status == Hidden {
		rs.remove(e.EntryKey)
		return
	}
	ro := rs.get(e.List)
	m := ro.members[e.Key]
	shown := true
	if m == nil {
		m = &member{}
		ro.members[e.Key] = m
	} else {
		shown = !changesOwnerOnly(m.entry, e)
		rs.account(ro, m.entry, -1)
		ro.order.remove(m)
		if string(m.entry.Data) != string(e.Data) {
			ro.unnameMember(m)
		}
	}
	m.take(e)
	ro.order.add(m)
	ro.nameMember(m)
	rs.account(ro, e, 1)
	rs.markUsed(ro, now)
	if shown {
		ro.changed = true
		rs.markDirty(ro)
	}
}

// changesOwnerOnly reports whether an entry takes the place of one that differs in its owner
// only, which nobody sees. Telling the list again would set cars back to where
// they started.
func changesOwnerOnly(before, e Entry) bool {
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
func (rs *memberLists) remove(p EntryKey) {
	ro := rs.byName[p.List]
	if ro == nil {
		return
	}
	m := ro.members[p.Key]
	if m == nil {
		return
	}
	ro.order.remove(m)
	delete(ro.members, p.Key)
	ro.unnameMember(m)
	rs.account(ro, m.entry, -1)
	ro.changed = true
	rs.markDirty(ro)
}

// account accounts for an entry that comes or goes. Chat rooms are bounded by
// their members' sockets, stages and races by what they weigh.
func (rs *memberLists) account(ro *memberList, e Entry, sign int) {
	if ro.useElement != nil && e.Instance == rs.instance {
		rs.ownBytes += sign * sizeOf(e)
	}
}

// sizeOf is what an entry costs in memory, about, in bytes; it may be the only
// one of its list.
func sizeOf(e Entry) int { return len(e.List) + len(e.Key) + len(e.Data) + 1024 }

// nameOf is the name of a member, nil if it has none that may be seen.
func (rs *memberLists) nameOf(p EntryKey) *name {
	if ro := rs.byName[p.List]; ro != nil && ro.members[p.Key] != nil {
		return ro.members[p.Key].name
	}
	return nil
}

// joinedAt is the time of the first member with a name, 0 if there is none.
func (rs *memberLists) joinedAt(list string, text json.RawMessage) int64 {
	ro := rs.byName[list]
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

// nameMember gives a chat room's member its name among the names. It is given at
// once: a name stays whose last socket but this one goes.
func (ro *memberList) nameMember(m *member) {
	if m.name == nil && isRoom(ro.name) {
		m.name = ro.names.add(m.entry.Data)
	}
}

// unnameMember takes a member's name out of the names.
func (ro *memberList) unnameMember(m *member) {
	if m.name != nil {
		ro.names.remove(m.name)
		m.name = nil
	}
}

// visibleNames is the names in a chat room that may be seen, each once, in order of
// joining. Who may be seen may have changed without the room: when a user hides,
// the sockets that other instances have of the user follow a little later.
func (ro *memberList) visibleNames(hidden func(socket string) bool) []*name {
	for m := range ro.order.all() {
		if hidden(m.entry.Key) {
			ro.unnameMember(m)
		} else {
			ro.nameMember(m)
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

// requestSnapshot notes that a session gets the whole list with the next flush.
func (rs *memberLists) requestSnapshot(list string, s *session, o snapshotRequest) {
	ro := rs.get(list)
	if ro.snapshots == nil {
		ro.snapshots = make(map[*session]snapshotRequest, 1)
	}
	if before, owed := ro.snapshots[s]; owed {
		o = snapshotRequest{before.hasSnapshot, append(before.ownNames, o.ownNames...)}
	}
	ro.snapshots[s] = o
	rs.markDirty(ro)
}

// encode is the entries' data as a JSON array, without those that are hidden;
// with unique, of those with the same id only the first.
func (ro *memberList) encode(unique bool, hidden func(Entry) bool) json.RawMessage {
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

// ofSocket is what a socket has put there.
func (ro *memberList) ofSocket(socket string) (out []member) {
	for m := range ro.order.all() {
		if socketOf(m.entry.Key) == socket {
			out = append(out, *m)
		}
	}
	return out
}
