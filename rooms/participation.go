package rooms

import (
	"slices"
	"time"
)

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

// dropOut ends a session's part in a stage or race: it hears of it no more, unless
// it watches. r.mu is held.
func (r *Rooms) dropOut(s *session, list string) {
	if !r.stays(list) {
		r.withdraw(s, list, Closed)
	}
	if !s.watched.has(list) {
		r.membership.leave(s, list)
	}
}

// withdraw removes what a session has in a stage or race. r.mu is held.
func (r *Rooms) withdraw(s *session, list string, reason Reason) {
	if ro := r.rosters.byList[list]; ro != nil {
		for _, m := range ro.of(s.id) {
			r.remove(m.entry.EntryKey, reason)
		}
	}
}

// retire takes a session and all it has out of stages and races. r.mu is held.
func (r *Rooms) retire(s *session) {
	for _, list := range slices.Concat(s.stages, s.races) {
		r.withdraw(s, list, Hid)
		r.dropOut(s, list)
	}
	s.stages, s.races = nil, nil
}

// conceal removes what a user who hides has put into this instance's stages and
// races, also by sockets that are gone. What others put there stays, whatever id
// it says it has. r.mu is held.
func (r *Rooms) conceal(key userKey) {
	var left []EntryKey
	for use := r.rosters.byUse.Front(); use != nil; use = use.Next() {
		for m := range use.Value.(*roster).order.all() {
			if e := m.entry; e.UserID == key.id && !e.isAnonymous() && e.Instance == r.options.Instance {
				left = append(left, e.EntryKey)
			}
		}
	}
	for _, place := range left {
		r.remove(place, Hid)
	}
}

// own gives the registered user what the session put into stages and races before:
// it is to go when that user hides. r.mu is held.
func (r *Rooms) own(s *session) {
	for _, list := range slices.Concat(s.stages, s.races) {
		ro := r.rosters.byList[list]
		if ro == nil {
			continue
		}
		for _, m := range ro.of(s.id) {
			if e := m.entry; e.isAnonymous() {
				e.UserID = s.key.id
				r.put(e)
			}
		}
	}
}

// stays reports whether the entries of a list outlive their sockets.
func (r *Rooms) stays(list string) bool {
	return isRace(list) || r.options.Strict && isStage(list)
}

// bound gives up this instance's part of what is too old at a time, and of what
// was used least recently while all together weighs too much. r.mu is held.
func (r *Rooms) bound(now time.Time) {
	oldest := now.Add(-keepRacing).UnixMilli()
	var gone []EntryKey
	weight := r.rosters.own
	for use := r.rosters.byUse.Front(); use != nil; use = use.Next() {
		ro := use.Value.(*roster)
		if ro.usedAt >= oldest && weight <= maxRacing {
			break // the rest is younger
		}
		for m := range ro.order.all() {
			if e := m.entry; e.Instance == r.options.Instance {
				gone = append(gone, e.EntryKey)
				weight -= weightOf(e)
			}
		}
	}
	for _, place := range gone {
		r.remove(place, Closed)
	}
}
