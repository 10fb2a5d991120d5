package rooms

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// This file is how present users are: active, away by choice or by doing
// nothing for a while, hidden. The status belongs to the user. Each tab's
// entry carries what its session knows of it; of several the latest choice
// counts (presence.go), and the other tabs, wherever they are, adopt it.

// minTouch is how often one session's activity is noted at most.
const minTouch = time.Second

// heartbeat marks the user active, as every event does.
func (r *Rooms) heartbeat(*session, []json.RawMessage) (map[string]any, error) { return nil, nil }

// setStatus is the client's choice. Of somebody who is not registered it is
// kept for when that happens.
func (r *Rooms) setStatus(s *session, args []json.RawMessage) (map[string]any, error) {
	var status Status
	if len(args) == 0 || json.Unmarshal(args[0], &status) != nil || !status.isValid() {
		return nil, &Refusal{"bad_status", `The status is "active", "away" or "hidden".`}
	}
	s.mu.Lock()
	at := max(r.store.Now()/1000, s.statusAt+1)
	key, registered := s.key, s.registered()
	if registered {
		_, since := r.chosen(key)
		at = max(at, since+1)
	}
	r.adoptLocked(s, status, at)
	s.mu.Unlock()
	s.activeAt.Store(time.Now().UnixMilli())
	if registered && !key.anonymous {
		r.spread(key, status, at)
	}
	return map[string]any{"status": status}, nil
}

// spread has this instance's other tabs of a user adopt a choice.
func (r *Rooms) spread(key userKey, status Status, at int64) {
	if status == Hidden {
		r.conceal(key)
	}
	for _, s := range r.tabsOf(key) {
		s.mu.Lock()
		if s.key == key && at > s.statusAt {
			r.adoptLocked(s, status, at)
		}
		s.mu.Unlock()
	}
}

// carry gives this instance's tabs of a user the time of the user's first tab,
// which another instance has.
func (r *Rooms) carry(key userKey) {
	for _, s := range r.tabsOf(key) {
		s.mu.Lock()
		if s.key == key && s.status != Hidden && r.isLater(s.places[s.online()], key) {
			r.putAgainLocked(s)
		}
		s.mu.Unlock()
	}
}

// isLater reports whether an entry has a later time than its user's place.
func (r *Rooms) isLater(e Entry, key userKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.view.users[key]
	return u != nil && u.listed && e.JoinedAt > u.place.at
}

// adoptLocked sets a session's status and that of its entries. s.mu is held.
func (r *Rooms) adoptLocked(s *session, status Status, at int64) {
	if s.gone {
		return
	}
	before := s.status
	s.stateLocked(status, at)
	// This one first: once the user is hidden nothing of them is shown.
	r.putAgainLocked(s)
	r.restateLocked(s, before)
}

// startLocked sets the status that a session begins with. To hide counts as a
// choice made now, for all of the user's tabs: an app or user that says so wants
// the user hidden. The others are no choice: they do not show a user who hides
// in another tab. s.mu is held.
func (r *Rooms) startLocked(s *session) {
	if s.stateLocked(s.initial, 0); s.initial == Hidden {
		s.statusAt = r.store.Now() / 1000
	}
}

// stateLocked notes a status. s.mu is held.
func (s *session) stateLocked(status Status, at int64) {
	s.status, s.statusAt = status, at
	s.away.Store(status == Away)
}

// restateLocked brings what the session has in other lists in line with its
// status; before is the one it had. They know hidden or not only. s.mu is held.
func (r *Rooms) restateLocked(s *session, before Status) {
	if (before == Hidden) == (s.status == Hidden) {
		return
	}
	if s.status == Hidden {
		r.retireLocked(s) // a race is nothing for somebody who is not there
	}
	for place, e := range s.places {
		if place.List != Online {
			e.JoinedAt = 0 // who becomes visible joins
			_ = s.putLocked(r.store, e, r.joinsRoom)
		}
	}
}

// noteActive is called with every event but status and unregister.
func (r *Rooms) noteActive(s *session) {
	now := time.Now().UnixMilli()
	s.activeAt.Store(now)
	if !s.away.Load() && now-s.touchedAt.Load() < minTouch.Milliseconds() {
		return
	}
	s.mu.Lock()
	key, registered, away := s.key, s.registered(), s.status == Away
	chosen, since := r.chosen(key)
	// A user who hides in another tab, which this one has not followed yet,
	// stays hidden whatever happens here.
	hides := s.status == Hidden || chosen == Hidden && since > s.statusAt
	at := max(r.store.Now()/1000, s.statusAt+1, since+1)
	away = away && !hides
	if registered && away {
		r.adoptLocked(s, Active, at)
	}
	if registered && !hides && !key.anonymous {
		s.touchedAt.Store(now)
		r.store.Touch(key.id, now)
	}
	s.mu.Unlock()
	if registered && away && !key.anonymous {
		r.spread(key, Active, at)
	}
}

// noteLastLocked notes when the user of a session that goes offline was active
// last. s.mu is held.
func (r *Rooms) noteLastLocked(s *session) {
	if s.registered() && s.status != Hidden && !s.key.anonymous {
		r.store.Touch(s.key.id, s.activeAt.Load())
	}
}

// idle makes the users of sessions away that have sent nothing for a while. It
// is no choice: another tab that is active keeps the user active.
func (r *Rooms) idle(now time.Time) {
	since := now.Add(-r.options.IdleAfter).UnixMilli()
	r.mu.Lock()
	var idle []*session
	for _, s := range r.sessions {
		if s.activeAt.Load() <= since && !s.away.Load() {
			idle = append(idle, s)
		}
	}
	r.mu.Unlock()
	for _, s := range idle {
		s.mu.Lock()
		if s.registered() && s.status == Active && s.activeAt.Load() <= since {
			r.adoptLocked(s, Away, s.statusAt)
		}
		s.mu.Unlock()
	}
}

// forget lets go of choices that no tab adopted.
func (r *Rooms) forget(now time.Time) {
	r.mu.Lock()
	r.view.forget(now)
	r.mu.Unlock()
	r.wakeUp()
}

// lookAround makes idle users away, and gives up old races and choices, until ctx
// ends.
func (r *Rooms) lookAround(ctx context.Context) {
	pause := time.Minute
	if r.options.IdleAfter > 0 {
		// A twentieth late at most, and not more often than makes sense.
		pause = min(max(r.options.IdleAfter/20, 10*time.Millisecond), 15*time.Second)
	}
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			r.bound(now)
			r.forget(now)
			if r.options.IdleAfter > 0 {
				r.idle(now)
			}
		}
	}
}

// chosen is what a user's tabs agree on, and since when; 0: nothing was chosen.
func (r *Rooms) chosen(key userKey) (Status, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.view.users[key]; u != nil && u.presence.at > 0 {
		return u.presence.status(), u.presence.at
	}
	return Active, 0
}

// hides reports whether the user is there and hidden.
func (r *Rooms) hides(key userKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view.hides(key)
}

// tabsOf is this instance's sessions of a user who has an id.
func (r *Rooms) tabsOf(key userKey) []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*session, 0, len(r.membership[UserRoom(key.id)]))
	for s := range r.membership[UserRoom(key.id)] {
		out = append(out, s)
	}
	return out
}

var errHidden = &Refusal{"hidden", fmt.Sprintf("A hidden user cannot take part: send status %q first.", Active)}
