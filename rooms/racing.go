package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// racing is stages, where racers gather, and races, where their cars are. A racer goes
// with the socket; a car (in strict mode a racer too) stays until this instance evicts it.
type racing struct{ *core }

const (
	maxMembers = 500 // in one stage or race
	// maxRecentLists is how many stages a socket takes part in, how many races, and how
	// many of both it watches. It leaves the oldest for one more: clients never leave.
	maxRecentLists = 50
	// racingTTL is how long a stage or race stays after its last change.
	racingTTL = 24 * time.Hour
	// maxRacing bounds this instance's entries of all stages and races, in bytes.
	// Beyond it the least recently used are evicted.
	maxRacing = 16 << 20
)

var (
	errNotInStage = &Refusal{"not_in_stage", "You have not joined this stage."}
	errNotInRace  = &Refusal{"not_in_race", "You have no car in this race."}
	errNoTracks   = &Refusal{"no_tracks", "No tracks are known: the race cannot start."}
)

// recentLists are lists that a session takes part in or watches, the oldest first.
type recentLists []string

func (l recentLists) has(list string) bool { return slices.Contains(l, list) }

// add adds a list, and returns the one that has to be left for it, or "".
func (l *recentLists) add(list string) (left string) {
	if l.has(list) {
		return ""
	}
	if len(*l) >= maxRecentLists {
		left = (*l)[0]
		*l = slices.Delete(*l, 0, 1)
	}
	*l = append(*l, list)
	return left
}

// joinStage adds a racer to a stage, unless one with that id is there.
func (r *racing) joinStage(s *session, args []json.RawMessage) (map[string]any, error) {
	f := fields(args...)
	token, ok := nameOf(f["token"])
	id, err := idText(f["id"])
	if !ok || err != nil {
		return nil, &Refusal{"bad_stage", fmt.Sprintf("join_stage needs an object with a token of 1 to %d bytes; an id is a string or a number.", maxRoomName)}
	}
	if err := checkValue("bad_stage", "The racer", args[0]); err != nil {
		return nil, err
	}
	return nil, r.addMember(s, &s.stages, stageList(token), id, args[0], &Refusal{"stage_full",
		fmt.Sprintf("There are %d racers in this stage already.", maxMembers)})
}

// addCar adds a car to a race.
func (r *racing) addCar(s *session, args []json.RawMessage) (map[string]any, error) {
	f := fields(args...)
	race, ok := nameOf(f["race_id"])
	id, err := idText(f["id"])
	if !ok || err != nil {
		return nil, &Refusal{"bad_car", fmt.Sprintf("add_car needs an object with a race_id of 1 to %d bytes; an id is a string or a number.", maxRoomName)}
	}
	if err := checkValue("bad_car", "The car", args[0]); err != nil {
		return nil, err
	}
	return nil, r.addMember(s, &s.races, raceList(race), id, args[0], &Refusal{"race_full",
		fmt.Sprintf("There are %d cars in this race already.", maxMembers)})
}

// addMember puts a racer or car into a list; the session takes part. It takes the lock.
func (r *racing) addMember(s *session, lists *recentLists, list, id string, data json.RawMessage, full error) error {
	if err := s.checkID(id); err != nil {
		return err
	}
	if len(data) > r.options.MaxUser {
		return &Refusal{"too_large", fmt.Sprintf("It has %d bytes; the limit is %d.", len(data), r.options.MaxUser)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case s.gone.Load():
		return errNotConnected
	case s.status == Hidden:
		return errHidden
	}
	var e Entry
	if isStage(list) {
		for _, m := range r.lists.ofSocket(list, s.id) {
			if m.id == id {
				e = m.entry
			}
		}
	}
	if e.Data == nil {
		if l := r.lists.byName[list]; l != nil && len(l.members) >= maxMembers {
			return full
		}
		s.lastMember++
		e = Entry{
			EntryKey: EntryKey{list, s.id + "#" + strconv.Itoa(s.lastMember)},
			Instance: r.options.Instance,
			UserID:   s.ownerID(),
			Data:     bytes.Clone(data),
		}
	}
	r.sessions.join(s, list)
	r.put(e)
	if left := lists.add(list); left != "" {
		r.leave(s, left)
	}
	r.evict(time.Time{})
	return nil
}

// startRace picks a track for a stage's racers.
func (r *racing) startRace(token string) handler {
	return func(s *session, _ []json.RawMessage) (map[string]any, error) {
		if !r.takesPart(&s.stages, stageList(token)) {
			return nil, errNotInStage
		}
		tracks := r.options.Tracks()
		if len(tracks) == 0 {
			return nil, errNoTracks
		}
		track := encode(map[string]json.RawMessage{"track_id": tracks[rand.IntN(len(tracks))]})
		r.publishTo(stageList(token), Event{"start_race_" + token, []json.RawMessage{track}})
		return nil, nil
	}
}

// updateSpeed passes on how fast a car is.
func (r *racing) updateSpeed(race string) handler {
	return func(s *session, args []json.RawMessage) (map[string]any, error) {
		if !r.takesPart(&s.races, raceList(race)) {
			return nil, errNotInRace
		}
		speed := firstArg(args)
		if err := checkValue("bad_speed", "The speed", speed[0]); err != nil {
			return nil, err
		}
		id, err := idText(fields(speed...)["id"])
		if err != nil && !s.isTrusted() { // a trusted client's is data, whatever it is
			return nil, &Refusal{"bad_speed", "The speed's id must be a string or a number."}
		}
		if err := s.checkID(id); err != nil {
			return nil, err
		}
		r.publishTo(raceList(race), Event{"update_" + race + "_speed", speed})
		return nil, nil
	}
}

// takesPart takes the lock.
func (r *racing) takesPart(lists *recentLists, list string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return lists.has(list)
}

// publishTo publishes an event to those that take part or watch, in strict mode to all.
func (r *racing) publishTo(list string, e Event) {
	b := Broadcast{Event: e, Rooms: []string{list}}
	if r.options.Strict {
		b.Rooms = nil
	}
	r.options.Bus.Publish(b)
}

// watchStage and watchRace have a session get what it takes no part in.
func (r *racing) watchStage(s *session, args []json.RawMessage) (map[string]any, error) {
	token, ok := nameOf(fields(args...)["token"])
	if !ok {
		return nil, &Refusal{"bad_stage", fmt.Sprintf("watch_stage needs an object with a token of 1 to %d bytes.", maxRoomName)}
	}
	return nil, r.watch(s, stageList(token))
}

func (r *racing) watchRace(s *session, args []json.RawMessage) (map[string]any, error) {
	race, ok := nameOf(fields(args...)["race_id"])
	if !ok {
		return nil, &Refusal{"bad_race", fmt.Sprintf("watch_race needs an object with a race_id of 1 to %d bytes.", maxRoomName)}
	}
	return nil, r.watch(s, raceList(race))
}

// watch takes the lock.
func (r *racing) watch(s *session, list string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.gone.Load() {
		return errNotConnected
	}
	left := s.watched.add(list)
	r.sessions.join(s, list)
	r.lists.requestSnapshot(list, s, snapshotRequest{})
	if left != "" && !s.stages.has(left) && !s.races.has(left) {
		r.sessions.leave(s, left)
	}
	r.outbox.wakeUp()
	return nil
}

// leave ends a session's part in a list: it gets no more of it, unless it watches.
func (r *racing) leave(s *session, list string) {
	if !isRace(list) && (!r.options.Strict || !isStage(list)) { // else entries outlive their socket
		r.removeMembers(s, list, Closed)
	}
	if !s.watched.has(list) {
		r.sessions.leave(s, list)
	}
}

// leaveAll takes a session that hides, and all that it has, out of stages and races.
func (r *racing) leaveAll(s *session) {
	for _, list := range slices.Concat(s.stages, s.races) {
		r.removeMembers(s, list, Hid)
		r.leave(s, list)
	}
	s.stages, s.races = nil, nil
}

func (r *racing) removeMembers(s *session, list string, reason Reason) {
	for _, m := range r.lists.ofSocket(list, s.id) {
		r.remove(m.entry.EntryKey, reason)
	}
}

// removeHidden removes what a user who hides has put into stages and races on this
// instance, also by sockets that are gone; not what others put there with the user's id.
func (r *racing) removeHidden(key userKey) {
	var removed []EntryKey
	for use := r.lists.byUse.Front(); use != nil; use = use.Next() {
		for m := range use.Value.(*memberList).order.all() {
			if e := m.entry; e.UserID == key.id && !e.isAnonymous() && e.Instance == r.options.Instance {
				removed = append(removed, e.EntryKey)
			}
		}
	}
	for _, key := range removed {
		r.remove(key, Hid)
	}
}

// claimMembers gives the registered user what the session put into stages and races
// before: it is to go when that user hides.
func (r *racing) claimMembers(s *session) {
	for _, list := range slices.Concat(s.stages, s.races) {
		for _, m := range r.lists.ofSocket(list, s.id) {
			if e := m.entry; e.isAnonymous() {
				e.UserID = s.key.id
				r.put(e)
			}
		}
	}
}

// evict removes this instance's entries of lists that have not been used for
// racingTTL, and of the least recently used ones while all take more than maxRacing.
func (r *racing) evict(now time.Time) {
	oldest := now.Add(-racingTTL).UnixMilli()
	var evicted []EntryKey
	size := r.lists.ownBytes
	for use := r.lists.byUse.Front(); use != nil; use = use.Next() {
		l := use.Value.(*memberList)
		if l.usedAt >= oldest && size <= maxRacing {
			break // the others were used later
		}
		for m := range l.order.all() {
			if e := m.entry; e.Instance == r.options.Instance {
				evicted = append(evicted, e.EntryKey)
				size -= sizeOf(e)
			}
		}
	}
	for _, key := range evicted {
		r.remove(key, Closed)
	}
}
