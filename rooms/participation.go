package rooms

import (
	"slices"
	"time"
)

// This file is who takes part in which stages and races, and how that ends.

// A recentLists is lists that a session takes part in or watches, the oldest first.
type recentLists []string

func (c recentLists) has(list string) bool { return slices.Contains(c, list) }

// add adds a list, and returns the one that has to be left for it.
func (c *recentLists) add(list string) (left string) {
	if c.has(list) {
		return ""
	}
	if len(*c) >= maxRecentLists {
		left = (*c)[0]
		*c = slices.Delete(*c, 0, 1)
	}
	*c = append(*c, list)
	return left
}

// leaveList ends a session's part in a stage or race: it hears of it no more, unless
// it watches. r.mu is held.
func (r *Rooms) leaveList(s *session, list string) {
	if !r.outlivesSocket(list) {
		r.removeMembers(s, list, Closed)
	}
	if !s.watched.has(list) {
		r.membership.leave(s, list)
	}
}

// removeMembers removes what a session has in a stage or race. r.mu is held.
func (r *Rooms) removeMembers(s *session, list string, reason Reason) {
	if ro := r.lists.byName[list]; ro != nil {
		for _, m := range ro.ofSocket(s.id) {
			r.remove(m.entry.EntryKey, reason)
		}
	}
}

// leaveAllLists takes a session and all it has out of stages and races. r.mu is held.
func (r *Rooms) leaveAllLists(s *session) {
	for _, list := range slices.Concat(s.stages, s.races) {
		r.removeMembers(s, list, Hid)
		r.leaveList(s, list)
	}
	s.stages, s.races = nil, nil
}

// removeHidden removes what a user who hides has put into this instance's stages and
// races, also by sockets that are gone. What others put there stays, whatever id
// it says it has. r.mu is held.
func (r *Rooms) removeHidden(key userKey) {
	var left []EntryKey
	for use := r.lists.byUse.Front(); use != nil; use = use.Next() {
		for m := range use.Value.(*memberList).order.all() {
			if e := m.entry; e.UserID == key.id && !e.isAnonymous() && e.Instance == r.options.Instance {
				left = append(left, e.EntryKey)
			}
		}
	}
	for _, place := range left {
		r.remove(place, Hid)
	}
}

// claimMembers gives the registered user what the session put into stages and races before:
// it is to go when that user hides. r.mu is held.
func (r *Rooms) claimMembers(s *session) {
	for _, list := range slices.Concat(s.stages, s.races) {
		ro := r.lists.byName[list]
		if ro == nil {
			continue
		}
		for _, m := range ro.ofSocket(s.id) {
			if e := m.entry; e.isAnonymous() {
				e.UserID = s.key.id
				r.put(e)
			}
		}
	}
}

// outlivesSocket reports whether the entries of a list outlive their sockets.
func (r *Rooms) outlivesSocket(list string) bool {
	return isRace(list) || r.options.Strict && isStage(list)
}

// evict gives up this instance's part of what is too old at a time, and of what
// was used least recently while all together weighs too much. r.mu is held.
func (r *Rooms) evict(now time.Time) {
	oldest := now.Add(-racingTTL).UnixMilli()
	var gone []EntryKey
	weight := r.lists.ownBytes
	for use := r.lists.byUse.Front(); use != nil; use = use.Next() {
		ro := use.Value.(*memberList)
		if ro.usedAt >= oldest && weight <= maxRacing {
			break // the rest is younger
		}
		for m := range ro.order.all() {
			if e := m.entry; e.Instance == r.options.Instance {
				gone = append(gone, e.EntryKey)
				weight -= sizeOf(e)
			}
		}
	}
	for _, place := range gone {
		r.remove(place, Closed)
	}
}
