package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// This file is stages, where racers gather, and races, where their cars are.
// Both are lists of the store: a racer's entry goes with the socket, a car's
// (and in strict mode a racer's) stays, and this instance looks after it.

const (
	maxRacers = 500 // in one stage or race
	// maxRecentLists is how many stages a socket takes part in, and how many races,
	// and how many of both it watches. One more makes it leave the oldest:
	// clients never say that they leave.
	maxRecentLists = 50
	// racingTTL is how long a stage or race stays after its last change.
	racingTTL = 24 * time.Hour
	// maxRacing is what this instance's entries of all stages and races may
	// weigh in bytes. Beyond it the least recently used are given up.
	maxRacing = 16 << 20
)

var (
	errNotInStage = &Refusal{"not_in_stage", "You have not joined this stage."}
	errNotInRace  = &Refusal{"not_in_race", "You have no car in this race."}
	errNoTracks   = &Refusal{"no_tracks", "No tracks are known: the race cannot start."}
)

// joinStage adds a racer to a stage, unless one with that id is there.
func (r *Rooms) joinStage(s *session, args []json.RawMessage) (map[string]any, error) {
	f := fields(args)
	token, ok := nameOf(f["token"])
	id, err := idText(f["id"])
	if !ok || err != nil {
		return nil, &Refusal{"bad_stage", fmt.Sprintf("join_stage needs an object with a token of 1 to %d bytes; an id is a string or a number.", maxRoomName)}
	}
	if err := checkValue("bad_stage", "The racer", args[0]); err != nil {
		return nil, err
	}
	if err := s.checkID(id); err != nil {
		return nil, err
	}
	return nil, r.addMember(s, &s.stages, stageList(token), id, args[0], &Refusal{"stage_full",
		fmt.Sprintf("There are %d racers in this stage already.", maxRacers)})
}

// addCar adds a car to a race.
func (r *Rooms) addCar(s *session, args []json.RawMessage) (map[string]any, error) {
	f := fields(args)
	race, ok := nameOf(f["race_id"])
	id, err := idText(f["id"])
	if !ok || err != nil {
		return nil, &Refusal{"bad_car", fmt.Sprintf("add_car needs an object with a race_id of 1 to %d bytes; an id is a string or a number.", maxRoomName)}
	}
	if err := checkValue("bad_car", "The car", args[0]); err != nil {
		return nil, err
	}
	if err := s.checkID(id); err != nil {
		return nil, err
	}
	return nil, r.addMember(s, &s.races, raceList(race), id, args[0], &Refusal{"race_full",
		fmt.Sprintf("There are %d cars in this race already.", maxRacers)})
}

// addMember puts an element into a stage or race, and the session among those who
// addMember part.
func (r *Rooms) addMember(s *session, c *recentLists, list, id string, data json.RawMessage, full error) error {
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
	e, taken := r.ownMember(s, list, id)
	if e.Data == nil {
		if taken >= maxRacers {
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
	r.membership.join(s, list)
	r.put(e)
	if left := c.add(list); left != "" {
		r.leaveList(s, left)
	}
	r.evict(time.Time{})
	return nil
}

// ownMember is what a session has in a stage under this id, none in a race; and
// how many elements there are. r.mu is held.
func (r *Rooms) ownMember(s *session, list, id string) (mine Entry, taken int) {
	ro := r.lists.byName[list]
	if ro == nil {
		return Entry{}, 0
	}
	if isStage(list) {
		for _, m := range ro.ofSocket(s.id) {
			if m.id == id {
				mine = m.entry
			}
		}
	}
	return mine, len(ro.members)
}

// startRace picks a track for a stage's racers.
func startRace(token string) handler {
	return func(r *Rooms, s *session, _ []json.RawMessage) (map[string]any, error) {
		if !r.hasJoined(&s.stages, stageList(token)) {
			return nil, errNotInStage
		}
		tracks := r.options.Tracks()
		if len(tracks) == 0 {
			return nil, errNoTracks
		}
		track := encode(map[string]json.RawMessage{"track_id": tracks[rand.IntN(len(tracks))]})
		r.publish(r.toList(stageList(token), Event{"start_race_" + token, []json.RawMessage{track}}))
		return nil, nil
	}
}

// updateSpeed passes on how fast a car is.
func updateSpeed(race string) handler {
	return func(r *Rooms, s *session, args []json.RawMessage) (map[string]any, error) {
		if !r.hasJoined(&s.races, raceList(race)) {
			return nil, errNotInRace
		}
		speed := firstArg(args)
		if err := checkValue("bad_speed", "The speed", speed[0]); err != nil {
			return nil, err
		}
		id, err := idText(fields(speed)["id"])
		if err != nil && !s.isTrusted() { // a trusted client's is data, whatever it is
			return nil, &Refusal{"bad_speed", "The speed's id must be a string or a number."}
		}
		if err := s.checkID(id); err != nil {
			return nil, err
		}
		r.publish(r.toList(raceList(race), Event{"update_" + race + "_speed", speed}))
		return nil, nil
	}
}

func (r *Rooms) hasJoined(c *recentLists, list string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.has(list)
}

// toList is a message for those who take part and watch; in strict mode for
// everybody.
func (r *Rooms) toList(list string, e Event) Broadcast {
	if r.options.Strict {
		return Broadcast{Event: e}
	}
	return Broadcast{Event: e, Rooms: []string{list}}
}

// watchStage and watchRace make a session hear of what it takes no part in.
func (r *Rooms) watchStage(s *session, args []json.RawMessage) (map[string]any, error) {
	token, ok := nameOf(fields(args)["token"])
	if !ok {
		return nil, &Refusal{"bad_stage", fmt.Sprintf("watch_stage needs an object with a token of 1 to %d bytes.", maxRoomName)}
	}
	return nil, r.watchList(s, stageList(token))
}

func (r *Rooms) watchRace(s *session, args []json.RawMessage) (map[string]any, error) {
	race, ok := nameOf(fields(args)["race_id"])
	if !ok {
		return nil, &Refusal{"bad_race", fmt.Sprintf("watch_race needs an object with a race_id of 1 to %d bytes.", maxRoomName)}
	}
	return nil, r.watchList(s, raceList(race))
}

func (r *Rooms) watchList(s *session, list string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.gone.Load() {
		return errNotConnected
	}
	left := s.watched.add(list)
	r.membership.join(s, list)
	r.lists.requestSnapshot(list, s, snapshotRequest{})
	if left != "" && !s.stages.has(left) && !s.races.has(left) {
		r.membership.leave(s, left)
	}
	r.wakeUp()
	return nil
}
