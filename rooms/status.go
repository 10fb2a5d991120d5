package rooms

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// statuses are how present users are: active, away by choice or by being idle,
// hidden. The status belongs to the user. Each socket's entry carries what its
// session knows of it; the latest choice counts (userstatus.go), and the user's
// other sockets, wherever they are, adopt it.
type statuses struct {
	*core
	racing *racing
}

// touchInterval is how often one session's activity is recorded at most.
const touchInterval = time.Second

var errHidden = &Refusal{"hidden", fmt.Sprintf("A hidden user cannot take part: send status %q first.", Active)}

// heartbeat marks the user active, as every event does.
func (st *statuses) heartbeat(*session, []json.RawMessage) (map[string]any, error) { return nil, nil }

// choose is the client's choice, for the registered user, or the one to come.
func (st *statuses) choose(s *session, args []json.RawMessage) (map[string]any, error) {
	var status Status
	if len(args) == 0 || json.Unmarshal(args[0], &status) != nil || !status.isValid() {
		return nil, &Refusal{"bad_status", `The status is "active", "away" or "hidden".`}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	s.activeAt.Store(time.Now().UnixMilli())
	at := max(st.store.Now()/1000, s.statusAt+1)
	key := s.key
	if s.registered.Load() {
		_, since := st.online.chosenStatus(key)
		at = max(at, since+1)
	}
	st.change(s, status, at)
	st.share(key, status, at)
	return map[string]any{"status": status}, nil
}

// change sets a session's status and that of its entries.
func (st *statuses) change(s *session, status Status, at int64) {
	if s.gone.Load() {
		return
	}
	before := s.status
	s.setStatus(status, at)
	st.updateUser(s) // first: once the user is hidden, nothing else is shown
	st.syncVisibility(s, before)
}

// share has this instance's other sockets of a user with an id adopt a choice.
func (st *statuses) share(key userKey, status Status, at int64) {
	if !key.hasID() {
		return
	}
	if status == Hidden {
		st.racing.removeHidden(key)
	}
	for s := range st.sessions.rooms[UserRoom(key.id)] {
		if s.key == key && at > s.statusAt {
			st.change(s, status, at)
		}
	}
}

// adoptChange has this instance's sockets of a user adopt another instance's change: the
// choice made there, and the time of the user's first entry.
func (st *statuses) adoptChange(change Change) {
	e := change.Entry
	if e.List != Online || change.Removed {
		return
	}
	key := keyOf(e)
	u := st.online.users[key]
	if key.anonymous || e.Instance == st.options.Instance || u == nil {
		return
	}
	if e.StatusAt > 0 && e.StatusAt == u.status.at {
		st.share(key, u.status.current(), u.status.at)
	}
	if u.listed && !st.options.Strict { // two registered at a time, and neither knew of the other
		for s := range st.sessions.rooms[UserRoom(key.id)] {
			if s.key == key && s.status != Hidden && s.entries[s.onlineKey()].JoinedAt > u.rank.at {
				st.updateUser(s)
			}
		}
	}
}

// updateUser puts the entry of a session's user again, if there is one.
func (st *statuses) updateUser(s *session) {
	if e, ok := s.entries[s.onlineKey()]; ok {
		_ = st.putEntry(s, e)
	}
}

// initial is the status that a session begins with, and when it was chosen. Hidden
// counts as a choice made now, for all of the user's sockets: an app or user that says
// so wants the user hidden. The others do not show a user who hides elsewhere.
func (st *statuses) initial(s *session) (status Status, at int64) {
	if s.initial == Hidden {
		at = st.store.Now() / 1000
	}
	return s.initial, at
}

// adoptUserStatus gives a session the status of the user that it registers, before
// it is visible. A choice made before it registered is the latest, which the
// user's other sockets adopt; else theirs counts, but registering is being active.
func (st *statuses) adoptUserStatus(s *session, key userKey) {
	if s.registered.Load() && s.key == key {
		return
	}
	status, at := s.status, s.statusAt
	if s.registered.Load() { // that choice was another user's
		status, at = st.initial(s)
	}
	if chosen, since := st.online.chosenStatus(key); since > at {
		status, at = chosen, since
		if status == Away {
			status, at = Active, max(st.store.Now()/1000, since+1)
		}
	}
	if status == Hidden || s.status == Hidden {
		st.removeEntry(s, s.onlineKey(), SignedOut) // never the one with the other's status
	}
	before := s.status
	s.setStatus(status, at)
	st.syncVisibility(s, before)
}

// syncVisibility brings what the session has in other lists than Online in line with
// its status, of which they know only whether it is Hidden.
func (st *statuses) syncVisibility(s *session, before Status) {
	if (before == Hidden) == (s.status == Hidden) {
		return
	}
	if s.status == Hidden {
		st.racing.leaveAll(s)
	}
	for key, e := range s.entries {
		if key.List != Online {
			e.JoinedAt = 0 // becoming visible is joining
			_ = st.putEntry(s, e)
		}
	}
}

// markActive is called with every event that is not passive. It takes the lock, if
// there is something to change.
func (st *statuses) markActive(s *session) {
	now := time.Now().UnixMilli()
	s.activeAt.Store(now)
	if !s.registered.Load() || !s.away.Load() && now-s.touchedAt.Load() < touchInterval.Milliseconds() {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if !s.registered.Load() {
		return
	}
	// A user who hides in another socket, which this one has not followed yet, stays
	// hidden whatever happens here.
	chosen, since := st.online.chosenStatus(s.key)
	if s.status == Hidden || chosen == Hidden && since > s.statusAt {
		return
	}
	if !s.key.anonymous {
		s.touchedAt.Store(now)
		st.store.Touch(s.key.id, now)
	}
	if s.status == Away {
		at := max(st.store.Now()/1000, s.statusAt+1, since+1)
		st.change(s, Active, at)
		st.share(s.key, Active, at)
	}
}

// recordLastActive records when the user of a session that goes offline was active:
// not before joining, whose time is by the store's clock and has been shown.
func (c *core) recordLastActive(s *session) {
	if s.registered.Load() && s.status != Hidden && !s.key.anonymous {
		e := s.entries[s.onlineKey()]
		c.store.Touch(s.key.id, max(s.activeAt.Load(), e.JoinedAt/1000, e.VisibleAt/1000))
	}
}

// runJanitor makes idle users away, and removes old races and choices, until ctx ends.
func (st *statuses) runJanitor(ctx context.Context) {
	interval := time.Minute
	if idle := st.options.IdleAfter; idle > 0 { // a twentieth late, within reason
		interval = min(max(idle/20, 10*time.Millisecond), 15*time.Second)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			st.sweep(now)
			if st.options.IdleAfter > 0 {
				st.markIdle(now)
			}
		}
	}
}

// sweep removes old races, and choices that no socket adopted. It takes the lock.
func (st *statuses) sweep(now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.racing.evict(now)
	st.online.expireUnadopted(now)
	st.outbox.wakeUp()
}

// markIdle makes the users of sessions away that have sent nothing for a while. It is no
// choice: a socket that is active keeps the user active. It takes the lock.
func (st *statuses) markIdle(now time.Time) {
	since := now.Add(-st.options.IdleAfter).UnixMilli()
	isIdle := func(s *session) bool { return s.activeAt.Load() <= since && s.status == Active }
	st.mu.Lock()
	var idle []*session
	for _, s := range st.sessions.byID {
		if isIdle(s) {
			idle = append(idle, s)
		}
	}
	st.mu.Unlock()
	for some := range slices.Chunk(idle, lockBatch) {
		st.mu.Lock()
		for _, s := range some {
			if s.registered.Load() && isIdle(s) {
				st.change(s, Away, s.statusAt)
			}
		}
		st.mu.Unlock()
	}
}
