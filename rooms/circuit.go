package rooms

import "slices"

// This file is who takes part in which stages and races, and how that ends.

// A circuit is lists that a session takes part in or watches, the oldest first.
type circuit []string

func (c circuit) has(list string) bool { return slices.Contains(c, list) }

// enter adds a list, and returns the one that has to be left for it.
func (c *circuit) enter(list string) (left string) {
	if c.has(list) {
		return ""
	}
	if len(*c) >= maxCircuit {
		left = (*c)[0]
		*c = slices.Delete(*c, 0, 1)
	}
	*c = append(*c, list)
	return left
}

// enter puts a session among those who hear of a list.
func (r *Rooms) enter(s *session, list string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.id] == s {
		r.membership.join(s, list)
	}
}

// dropOutLocked ends a session's part in a stage or race: it hears of it no
// more, unless it watches. s.mu is held.
func (r *Rooms) dropOutLocked(s *session, list string) {
	if !r.stays(list) {
		r.withdrawLocked(s, list, Closed)
	}
	if s.watched.has(list) {
		return
	}
	r.mu.Lock()
	r.membership.leave(s, list)
	r.mu.Unlock()
}

// withdrawLocked removes what a session has in a stage or race. s.mu is held.
func (r *Rooms) withdrawLocked(s *session, list string, reason Reason) {
	var mine []member
	r.mu.Lock()
	if ro := r.rosters.byList[list]; ro != nil {
		mine = ro.of(s.id)
	}
	r.mu.Unlock()
	for _, m := range mine {
		r.store.Remove(m.entry.Place, reason)
	}
}

// retireLocked takes a session and all it has out of stages and races. s.mu is
// held.
func (r *Rooms) retireLocked(s *session) {
	for _, list := range slices.Concat(s.stages, s.races) {
		r.withdrawLocked(s, list, Hid)
		r.dropOutLocked(s, list)
	}
	s.stages, s.races = nil, nil
}

// conceal removes what a user who hides has put into this instance's stages and
// races, also by sockets that are gone. What others put there stays, whatever id
// it says it has.
func (r *Rooms) conceal(key userKey) {
	var left []Place
	r.mu.Lock()
	for use := r.rosters.byUse.Front(); use != nil; use = use.Next() {
		for m := range use.Value.(*roster).order.all() {
			if e := m.entry; e.UserID == key.id && !e.isAnonymous() && e.Instance == r.options.Instance {
				left = append(left, e.Place)
			}
		}
	}
	r.mu.Unlock()
	for _, place := range left {
		r.store.Remove(place, Hid)
	}
}

// ownLocked gives the registered user what the session put into stages and races
// before: it is to go when that user hides. s.mu is held.
func (r *Rooms) ownLocked(s *session) {
	var mine []Entry
	r.mu.Lock()
	for _, list := range slices.Concat(s.stages, s.races) {
		if ro := r.rosters.byList[list]; ro != nil {
			for _, m := range ro.of(s.id) {
				if m.entry.isAnonymous() {
					mine = append(mine, m.entry)
				}
			}
		}
	}
	r.mu.Unlock()
	for _, e := range mine {
		e.UserID = s.key.id
		r.store.Put(e)
	}
}

// stays reports whether the entries of a list outlive their sockets.
func (r *Rooms) stays(list string) bool {
	return isRace(list) || r.options.Strict && isStage(list)
}
