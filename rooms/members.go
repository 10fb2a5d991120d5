package rooms

import (
	"container/list"
	"encoding/json"
	"strings"
)

// isRoom, isStage and isRace tell the kinds of lists apart.
func isRoom(list string) bool  { return strings.HasPrefix(list, RoomList("")) }
func isStage(list string) bool { return strings.HasPrefix(list, stageList("")) }
func isRace(list string) bool  { return strings.HasPrefix(list, raceList("")) }

func stageList(token string) string { return "stage:" + token }
func raceList(race string) string   { return "race:" + race }

// titleOf is a list's name without its kind.
func titleOf(list string) string { return list[strings.IndexByte(list, ':')+1:] }

// socketOf is the socket that an entry is of: its key up to a number.
func socketOf(key string) string {
	socket, _, _ := strings.Cut(key, "#")
	return socket
}

// memberLists are the lists other than Online: chat rooms, stages and races. Only
// those exist that have a member or something to flush. core.mu guards them.
type memberLists struct {
	instance string // whose entries are our own
	byName   map[string]*memberList
	dirty    list.List // lists with something to flush, in that order
	byUse    list.List // stages and races, the latest used last
	ownBytes int       // that this instance's entries in byUse take
}

func newMemberLists(instance string) memberLists {
	return memberLists{instance: instance, byName: make(map[string]*memberList)}
}

// A memberList is the replica of one of them.
type memberList struct {
	name    string
	members map[string]*member // by key
	order   sorted[*member]    // of joining
	names   names              // of a chat room

	useElement *list.Element // in memberLists.byUse; nil for a chat room
	usedAt     int64         // last (epoch milliseconds)

	dirtyElement *list.Element // in memberLists.dirty; nil if there is nothing to flush
	changed      bool          // since the last flush
	requests     map[*session]snapshotRequest
}

// A member is one entry.
type member struct {
	entry Entry
	name  *name  // in a chat room, unless the user is hidden
	id    string // in the data of a racer or car: not always of the user who put it there
}

// A snapshotRequest is of a session that gets a list whole, changed or not: whether
// it had a snapshot before, and its names in the list, before and now.
type snapshotRequest struct {
	hasSnapshot bool
	ownNames    []*name
}

func compareMembers(a, b *member) int { return rankOf(a.entry).compare(rankOf(b.entry)) }

// get finds a list, or makes an empty one.
func (ls *memberLists) get(name string) *memberList {
	l := ls.byName[name]
	if l == nil {
		l = &memberList{
			name:    name,
			members: make(map[string]*member),
			order:   sorted[*member]{compare: compareMembers},
		}
		if !isRoom(name) {
			l.useElement = ls.byUse.PushBack(l)
		}
		ls.byName[name] = l
	}
	return l
}

// dropIfEmpty forgets a list without members and anything to flush.
func (ls *memberLists) dropIfEmpty(l *memberList) {
	if len(l.members) == 0 && l.dirtyElement == nil {
		delete(ls.byName, l.name)
		if l.useElement != nil {
			ls.byUse.Remove(l.useElement)
		}
	}
}

// markUsed notes that something happens in a stage or race.
func (ls *memberLists) markUsed(l *memberList, now int64) {
	l.usedAt = now
	if l.useElement != nil {
		ls.byUse.MoveToBack(l.useElement)
	}
}

func (ls *memberLists) markDirty(l *memberList) {
	if l.dirtyElement == nil {
		l.dirtyElement = ls.dirty.PushBack(l)
	}
}

// requestSnapshot has a session get a whole list with the next flush.
func (ls *memberLists) requestSnapshot(list string, s *session, request snapshotRequest) {
	l := ls.get(list)
	if l.requests == nil {
		l.requests = make(map[*session]snapshotRequest, 1)
	}
	if before, again := l.requests[s]; again {
		request = snapshotRequest{before.hasSnapshot, append(before.ownNames, request.ownNames...)}
	}
	l.requests[s] = request
	ls.markDirty(l)
}

// put takes an entry. Hidden users are in no list.
func (ls *memberLists) put(e Entry, now int64) {
	if e.Status == Hidden {
		ls.remove(e.EntryKey)
		return
	}
	l := ls.get(e.List)
	m := l.members[e.Key]
	visible := true
	if m == nil {
		m = &member{}
		l.members[e.Key] = m
	} else {
		visible = !changesOwnerOnly(m.entry, e)
		ls.account(l, m.entry, -1)
		l.order.remove(m)
		if string(m.entry.Data) != string(e.Data) {
			l.unnameMember(m)
		}
	}
	m.entry, m.id = e, ""
	if !isRoom(e.List) {
		m.id, _ = idText(fields(e.Data)["id"]) // an invalid one is ""
	}
	l.order.add(m)
	l.nameMember(m)
	ls.account(l, e, 1)
	ls.markUsed(l, now)
	if visible {
		l.changed = true
		ls.markDirty(l)
	}
}

// changesOwnerOnly reports whether an entry differs from the one before in its user
// only, which nobody sees. A snapshot would set cars back to where they started.
func changesOwnerOnly(before, e Entry) bool {
	isOthers := before.UserID != e.UserID
	before.UserID = e.UserID
	return isOthers && rankOf(before) == rankOf(e) && before.Status == e.Status && string(before.Data) == string(e.Data)
}

// remove takes an entry away. It is no use of the list: else what one instance
// evicts because it is old would be young for the others.
func (ls *memberLists) remove(key EntryKey) {
	l := ls.byName[key.List]
	if l == nil || l.members[key.Key] == nil {
		return
	}
	m := l.members[key.Key]
	l.order.remove(m)
	delete(l.members, key.Key)
	l.unnameMember(m)
	ls.account(l, m.entry, -1)
	l.changed = true
	ls.markDirty(l)
}

// account counts the bytes of an own entry that comes (1) or goes (-1). Chat rooms
// are bounded by their members' sockets, stages and races by bytes.
func (ls *memberLists) account(l *memberList, e Entry, sign int) {
	if l.useElement != nil && e.Instance == ls.instance {
		ls.ownBytes += sign * sizeOf(e)
	}
}

// sizeOf is about what an entry takes in memory, in bytes, perhaps as its list's only one.
func sizeOf(e Entry) int { return len(e.List) + len(e.Key) + len(e.Data) + 1024 }

// nameOf returns the name of a member, nil if it has none that is visible.
func (ls *memberLists) nameOf(key EntryKey) *name {
	if l := ls.byName[key.List]; l != nil && l.members[key.Key] != nil {
		return l.members[key.Key].name
	}
	return nil
}

// joinedAt is the time of the first member with a name, 0 if there is none.
func (ls *memberLists) joinedAt(list string, text json.RawMessage) int64 {
	if l := ls.byName[list]; l != nil && l.names.byText[string(text)] != nil {
		for m := range l.order.all() {
			if m.name == l.names.byText[string(text)] {
				return m.entry.JoinedAt
			}
		}
	}
	return 0
}

// ofSocket returns the members that a socket has put into a list.
func (ls *memberLists) ofSocket(list, socket string) (out []member) {
	if l := ls.byName[list]; l != nil {
		for m := range l.order.all() {
			if socketOf(m.entry.Key) == socket {
				out = append(out, *m)
			}
		}
	}
	return out
}

// nameMember counts a chat room's member among those with its name, at once: a name
// stays if another socket has it when the last one goes.
func (l *memberList) nameMember(m *member) {
	if m.name == nil && isRoom(l.name) {
		m.name = l.names.add(m.entry.Data)
	}
}

func (l *memberList) unnameMember(m *member) {
	if m.name != nil {
		l.names.remove(m.name)
		m.name = nil
	}
}

// visibleNames returns the names in a chat room, each once, in order of joining.
// They may change without the room: when a user hides, the entries of other
// instances follow a little later.
func (l *memberList) visibleNames(isHidden func(socket string) bool) []*name {
	out := make([]*name, 0, len(l.names.byText))
	for m := range l.order.all() {
		if isHidden(m.entry.Key) {
			l.unnameMember(m)
			continue
		}
		l.nameMember(m)
		if !m.name.taken {
			m.name.taken = true
			out = append(out, m.name)
		}
	}
	for _, one := range out {
		one.taken = false
	}
	return out
}

// encode returns the members' data as a JSON array, without those of hidden users;
// with unique, of those with the same id only the first.
func (l *memberList) encode(unique bool, isHidden func(Entry) bool) json.RawMessage {
	out := []byte{'['}
	seen := make(map[string]bool)
	for m := range l.order.all() {
		if unique && seen[m.id] || isHidden(m.entry) {
			continue
		}
		seen[m.id] = true
		out = appendItem(out, m.entry.Data)
	}
	return append(out, ']')
}
