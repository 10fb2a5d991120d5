package adapter

import (
	"bytes"
	"context"
	"time"

	"rollcall/rooms"
)

// Memory is the store of an instance that runs alone. The zero value is not
// usable; see NewMemory.
type Memory struct {
	replica *replica
	records *records
	clock   *sharedClock
	revoked revocations
}

var (
	_ rooms.Store   = (*Memory)(nil)
	_ rooms.Records = (*Memory)(nil)
)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{replica: newReplica(), records: newRecords(time.Now), clock: newSharedClock(time.Now)}
}

// Now implements rooms.Store by the local clock.
func (m *Memory) Now() int64 { return m.clock.now() }

// Put implements rooms.Store.
func (m *Memory) Put(e rooms.Entry, complete ...func(*rooms.Entry)) rooms.Entry {
	before, replaced, e := m.replica.putNow(e, m.clock, complete)
	if isActivity(before, replaced, e) && isRemembered(e) {
		m.records.touch(e.UserID, m.records.now().UnixMilli())
	}
	return e
}

// Remove implements rooms.Store.
func (m *Memory) Remove(place rooms.Place, reason rooms.Reason) { m.replica.remove(place, reason) }

// Watch implements rooms.Store. The snapshot has been told when it returns.
func (m *Memory) Watch(f func(rooms.Change)) (stop func()) { return m.replica.watch(f) }

// Say implements rooms.Store. It never fails, and the id is there at once.
func (m *Memory) Say(message rooms.NewMessage) (<-chan int64, error) {
	kept := make(chan int64, 1)
	m.replica.tellOf(func() (rooms.Change, bool) {
		said, isNew := m.records.say(message)
		kept <- said.ID
		return rooms.Change{Said: &said}, isNew
	})
	return kept, nil
}

// SignOut implements rooms.Store.
func (m *Memory) SignOut(user string) { m.replica.tell(rooms.Change{SignOut: user}) }

// Touch implements rooms.Store, without delay.
func (m *Memory) Touch(user string, at int64) {
	if !m.replica.isSocket(user) {
		m.records.touch(user, at)
	}
}

// LastActive implements rooms.Records.
func (m *Memory) LastActive(_ context.Context, user string) (int64, error) {
	return m.records.lastActive(user), nil
}

// History implements rooms.Records.
func (m *Memory) History(_ context.Context, room string) ([]rooms.Said, error) {
	return m.records.history(room), nil
}

// isActivity tells whether putting an entry shows that its user was active:
// somebody came, came out of hiding, or changed the user's data. A change of
// status alone does not: nobody need have been there when it became away.
func isActivity(before rooms.Entry, replaced bool, e rooms.Entry) bool {
	switch {
	case e.List != rooms.Online || e.Status == rooms.Hidden:
		return false
	case !replaced || before.Status == rooms.Hidden:
		return true
	}
	return before.UserID != e.UserID || !bytes.Equal(before.Data, e.Data)
}

// isRemembered tells whether an entry's user is known by more than the socket,
// which never comes back.
func isRemembered(e rooms.Entry) bool { return e.UserID != e.Key && len(e.UserID) <= maxSeenID }

// isSocket tells whether a user is known by the socket id.
func (r *replica) isSocket(user string) bool {
	e, ok := r.get(rooms.Place{List: rooms.Online, Key: user})
	return ok && e.UserID == user
}
