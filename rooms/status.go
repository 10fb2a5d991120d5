package rooms

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// This file is how present users are: active, away by choice or by doing
// nothing for a while, hidden. The status belongs to the user. Each socket's
// entry carries what its session knows of it; of several the latest choice
// counts (presence.go), and the other sockets, wherever they are, adopt it.

// minTouch is how often one session's activity is noted at most.
const minTouch = time.Second

// heartbeat marks the user active, as every event does.
func (r *Rooms) heartbeat(*session, []json.RawMessage) (map[string]any, error) { return nil, nil }

// chooseStatus is the client's choice. Of somebody who is not registered it is
// kept for when that happens.
func (r *Rooms) chooseStatus(s *session, args []json.RawMessage) (map[string]any, error) {
	var status Status
	if len(args) == 0 || json.Unmarshal(args[0], &status) != nil || !status.isValid() {
		return nil, &Refusal{"bad_status", `The status is "active", "away" or "hidden".`}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, registered := s.key, s.registered()
	at := max(r.store.Now()/1000, s.statusAt+1)
	if registered {
		_, since := r.chosen(key)
		at = max(at, since+1)
	}
	r.changeStatus(s, status, at)
	s.activeAt.Store(time.Now().UnixMilli())
	if registered && !key.anonymous {
		r.shareStatus(key, status, at)
	}
	return map[string]any{"status": status}, nil
}

// shareStatus has this instance's other sockets of a user adopt a choice. r.mu is held.
func (r *Rooms) shareStatus(key userKey, status Status, at int64) {
	if status == Hidden {
		r.removeHidden(key)
	}
	for s := range r.membership[UserRoom(key.id)] {
		if s.key == key && at > s.statusAt {
			r.changeStatus(s, status, at)
		}
	}
}

// shareJoinTime gives this instance's sockets of a user the time of the user's first socket,
// which another instance has. r.mu is held.
func (r *Rooms) shareJoinTime(u *onlineUser) {
	for s := range r.membership[UserRoom(u.key.id)] {
		if s.key == u.key && s.status != Hidden && s.entries[s.onlineKey()].JoinedAt > u.rank.at {
			r.updateUser(s)
		}
	}
}

// changeStatus sets a session's status and that of its entries. r.mu is held.
func (r *Rooms) changeStatus(s *session, status Status, at int64) {
	if s.gone.Load() {
		return
	}
	before := s.status
	s.setStatus(status, at)
	// This one first: once the user is hidden nothing of them is shown.
	r.updateUser(s)
	r.syncVisibility(s, before)
}

// resetStatus sets the status that a session begins with. To hide counts as a
// choice made now, for all of the user's sockets: an app or user that says so wants
// the user hidden. The others are no choice: they do not show a user who hides
// in another socket. r.mu is held.
func (r *Rooms) resetStatus(s *session) {
	if s.setStatus(s.initial, 0); s.initial == Hidden {
		s.statusAt = r.store.Now() / 1000
	}
}

// setStatus notes a status. r.mu is held.
func (s *session) setStatus(status Status, at int64) {
	s.status, s.statusAt = status, at
	s.away.Store(status == Away)
}

// syncVisibility brings what the session has in other lists in line with its
// status; before is the one it had. They know hidden or not only. r.mu is held.
func (r *Rooms) syncVisibility(s *session, before Status) {
	if (before == Hidden) == (s.status == Hidden) {
		return
	}
	if s.status == Hidden {
		r.leaveAllLists(s) // a race is nothing for somebody who is not there
	}
	for place, e := range s.entries {
		if place.List != Online {
			e.JoinedAt = 0 // who becomes visible joins
			_ = r.putEntry(s, r.withJoinTime(e))
		}
	}
}

// markActive is called with every event but status and unregister.
func (r *Rooms) markActive(s *session) {
	now := time.Now().UnixMilli()
	s.activeAt.Store(now)
	if !s.registered() || !s.away.Load() && now-s.touchedAt.Load() < minTouch.Milliseconds() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, registered := s.key, s.registered()
	if !registered {
		return
	}
	// A user who hides in another socket, which this one has not followed yet,
	// stays hidden whatever happens here.
	chosen, since := r.chosen(key)
	if s.status == Hidden || chosen == Hidden && since > s.statusAt {
		return
	}
	if !key.anonymous {
		s.touchedAt.Store(now)
		r.store.Touch(key.id, now)
	}
	if s.status != Away {
		return
	}
	at := max(r.store.Now()/1000, s.statusAt+1, since+1)
	r.changeStatus(s, Active, at)
	if !key.anonymous {
		r.shareStatus(key, Active, at)
	}
}

// recordLastActive notes when the user of a session that goes offline was active last. r.mu
// is held.
func (r *Rooms) recordLastActive(s *session) {
	if s.registered() && s.status != Hidden && !s.key.anonymous {
		r.store.Touch(s.key.id, s.activeAt.Load())
	}
}

// markIdle makes the users of sessions away that have sent nothing for a while. It
// is no choice: another socket that is active keeps the user active.
func (r *Rooms) markIdle(now time.Time) {
	since := now.Add(-r.options.IdleAfter).UnixMilli()
	r.mu.Lock()
	var idle []*session
	for _, s := range r.sessions {
		if s.activeAt.Load() <= since && s.status == Active {
			idle = append(idle, s)
		}
	}
	r.mu.Unlock()
	for some := range slices.Chunk(idle, lockBatch) {
		r.mu.Lock()
		for _, s := range some {
			if s.registered() && s.status == Active && s.activeAt.Load() <= since {
				r.changeStatus(s, Away, s.statusAt)
			}
		}
		r.mu.Unlock()
	}
}

// lockBatch is how many sessions or lists are looked after under one lock.
const lockBatch = 64

// sweep lets go of old races, and of choices that no socket adopted.
func (r *Rooms) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evict(now)
	r.online.expireUnadopted(now)
	r.wakeUp()
}

// runJanitor makes idle users away, and gives up old races and choices, until ctx
// ends.
func (r *Rooms) runJanitor(ctx context.Context) {
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
			r.sweep(now)
			if r.options.IdleAfter > 0 {
				r.markIdle(now)
			}
		}
	}
}

// chosen is what a user's sockets agree on, and since when; 0: nothing was chosen.
// r.mu is held.
func (r *Rooms) chosen(key userKey) (Status, int64) {
	if u := r.online.users[key]; u != nil && u.status.at > 0 {
		return u.status.current(), u.status.at
	}
	return Active, 0
}

var errHidden = &Refusal{"hidden", fmt.Sprintf("A hidden user cannot take part: send status %q first.", Active)}
