package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file is stages, where racers gather, and races, where their cars are.
// Both are lists of the store: a racer's entry goes with the socket, a car's
// (and in strict mode a racer's) stays, and this instance looks after it.

const (
	maxRacers = 500 // in one stage or race
	// maxCircuit is how many stages a socket takes part in, and how many races,
	// and how many of both it watches. One more makes it leave the oldest:
	// clients never say that they leave.
	maxCircuit = 50
	// keepRacing is how long a stage or race stays after its last change.
	keepRacing = 24 * time.Hour
	// maxRacing is what this instance's entries of all stages and races may
	// weigh in bytes. Beyond it the least recently used are given up.
	maxRacing = 16 << 20
)

var (
	errNotInStage = &Refusal{"not_in_stage", "You have not joined this stage."}
	errNotInRace  = &Refusal{"not_in_race", "You have no car in this race."}
	errNoTracks   = &Refusal{"no_tracks", "No tracks are known: the race cannot start."}
)

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

// invite hands an invitation to the sockets of the invited user; in strict
// mode to everybody, who keep it if it is theirs.
func (r *Rooms) invite(_ *session, args []json.RawMessage) (map[string]any, error) {
	if r.options.Strict {
		r.publish(Message{Event: Event{"invite", firstArg(args)}})
		return nil, nil
	}
	id, err := idText(fields(args)["id"])
	if err != nil || id == "" {
		return nil, &Refusal{"bad_invite", "invite needs an object with the id of the invited user."}
	}
	r.publish(Message{Event: Event{"invite", firstArg(args)}, Rooms: []string{UserRoom(id)}})
	return nil, nil
}

// firstArg is an event's one argument, as JavaScript would pass it on.
func firstArg(args []json.RawMessage) []json.RawMessage {
	if len(args) == 0 {
		return []json.RawMessage{[]byte("null")}
	}
	return []json.RawMessage{bytes.Clone(args[0])}
}

// joinStage adds a racer to a stage, unless one with that id is there.
func (r *Rooms) joinStage(s *session, args []json.RawMessage) (map[string]any, error) {
	token, ok := nameOf(fields(args)["token"])
	id, err := idText(fields(args)["id"])
	if !ok || err != nil {
		return nil, &Refusal{"bad_stage", fmt.Sprintf("join_stage needs an object with a token of 1 to %d bytes; an id is a string or a number.", maxRoomName)}
	}
	if id != "" { // a racer is known by the user's id
		if err := s.may(userKey{id: id}); err != nil {
			return nil, err
		}
	}
	return nil, r.take(s, &s.stages, stageList(token), id, args[0], &Refusal{"stage_full",
		fmt.Sprintf("There are %d racers in this stage already.", maxRacers)})
}

// addCar adds a car to a race.
func (r *Rooms) addCar(s *session, args []json.RawMessage) (map[string]any, error) {
	race, ok := nameOf(fields(args)["race_id"])
	id, err := idText(fields(args)["id"])
	if !ok || err != nil {
		return nil, &Refusal{"bad_car", fmt.Sprintf("add_car needs an object with a race_id of 1 to %d bytes; an id is a string or a number.", maxRoomName)}
	}
	return nil, r.take(s, &s.races, raceList(race), id, args[0], &Refusal{"race_full",
		fmt.Sprintf("There are %d cars in this race already.", maxRacers)})
}

// take puts an element into a stage or race, and the session among those who
// take part.
func (r *Rooms) take(s *session, c *circuit, list, id string, data json.RawMessage, full error) error {
	if len(data) > r.options.MaxUser {
		return &Refusal{"too_large", fmt.Sprintf("It has %d bytes; the limit is %d.", len(data), r.options.MaxUser)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return errNotConnected
	case s.status == Hidden:
		return errHidden
	}
	e, taken := r.element(s, list, id)
	if e.Data == nil {
		if taken >= maxRacers {
			return full
		}
		s.elements++
		e = Entry{
			Place:    Place{list, s.id + "#" + strconv.Itoa(s.elements)},
			Instance: r.options.Instance,
			UserID:   id,
			Data:     bytes.Clone(data),
			JoinedAt: time.Now().UnixMilli(),
		}
	}
	r.enter(s, list)
	r.store.Put(e)
	if left := c.enter(list); left != "" {
		r.dropOutLocked(s, left)
	}
	r.bound(time.Time{})
	return nil
}

// element is what a session has in a stage under this id, none in a race; and
// how many elements there are.
func (r *Rooms) element(s *session, list, id string) (mine Entry, taken int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ro := r.rosters.byList[list]
	if ro == nil {
		return Entry{}, 0
	}
	if isStage(list) {
		for _, e := range ro.of(s.id) {
			if e.UserID == id {
				mine = e
			}
		}
	}
	return mine, len(ro.members)
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
	var mine []Entry
	r.mu.Lock()
	if ro := r.rosters.byList[list]; ro != nil {
		mine = ro.of(s.id)
	}
	r.mu.Unlock()
	for _, e := range mine {
		r.store.Remove(e.Place, reason)
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

// conceal removes what a user who hides has left in this instance's stages and
// races, also by sockets that are gone.
func (r *Rooms) conceal(key userKey) {
	var left []Place
	r.mu.Lock()
	for use := r.rosters.byUse.Front(); use != nil; use = use.Next() {
		for place := use.Value.(*roster).order.Front(); place != nil; place = place.Next() {
			if e := place.Value.(*member).entry; e.UserID == key.id && e.Instance == r.options.Instance {
				left = append(left, e.Place)
			}
		}
	}
	r.mu.Unlock()
	for _, place := range left {
		r.store.Remove(place, Hid)
	}
}

// stays reports whether the entries of a list outlive their sockets.
func (r *Rooms) stays(list string) bool {
	return isRace(list) || r.options.Strict && isStage(list)
}

// bound gives up this instance's part of what is too old at a time, and of what
// was used least recently while all together is too large.
func (r *Rooms) bound(now time.Time) {
	oldest := now.Add(-keepRacing).UnixMilli()
	for {
		var gone []Place
		r.mu.Lock()
		for use := r.rosters.byUse.Front(); use != nil && gone == nil; use = use.Next() {
			ro := use.Value.(*roster)
			if ro.usedAt >= oldest && r.rosters.own <= maxRacing {
				break
			}
			gone = r.ownPlaces(ro)
		}
		r.mu.Unlock()
		if gone == nil {
			return
		}
		for _, place := range gone {
			r.store.Remove(place, Closed)
		}
	}
}

// ownPlaces is this instance's entries of a roster. r.mu is held.
func (r *Rooms) ownPlaces(ro *roster) (own []Place) {
	for place := ro.order.Front(); place != nil; place = place.Next() {
		if e := place.Value.(*member).entry; e.Instance == r.options.Instance {
			own = append(own, e.Place)
		}
	}
	return own
}

// startRace picks a track for a stage's racers.
func startRace(token string) handler {
	return func(r *Rooms, s *session, _ []json.RawMessage) (map[string]any, error) {
		if !r.takesPart(s, &s.stages, stageList(token)) {
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
		if !r.takesPart(s, &s.races, raceList(race)) {
			return nil, errNotInRace
		}
		r.publish(r.toList(raceList(race), Event{"update_" + race + "_speed", firstArg(args)}))
		return nil, nil
	}
}

func (r *Rooms) takesPart(s *session, c *circuit, list string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.has(list)
}

// toList is a message for those who take part and watch; in strict mode for
// everybody.
func (r *Rooms) toList(list string, e Event) Message {
	if r.options.Strict {
		return Message{Event: e}
	}
	return Message{Event: e, Rooms: []string{list}}
}

// watchStage and watchRace make a session hear of what it takes no part in.
func (r *Rooms) watchStage(s *session, args []json.RawMessage) (map[string]any, error) {
	token, ok := nameOf(fields(args)["token"])
	if !ok {
		return nil, &Refusal{"bad_stage", fmt.Sprintf("watch_stage needs an object with a token of 1 to %d bytes.", maxRoomName)}
	}
	return nil, r.watch(s, stageList(token))
}

func (r *Rooms) watchRace(s *session, args []json.RawMessage) (map[string]any, error) {
	race, ok := nameOf(fields(args)["race_id"])
	if !ok {
		return nil, &Refusal{"bad_race", fmt.Sprintf("watch_race needs an object with a race_id of 1 to %d bytes.", maxRoomName)}
	}
	return nil, r.watch(s, raceList(race))
}

func (r *Rooms) watch(s *session, list string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return errNotConnected
	}
	left := s.watched.enter(list)
	r.enter(s, list)
	r.mu.Lock()
	r.rosters.owe(list, s)
	if left != "" && !s.stages.has(left) && !s.races.has(left) {
		r.membership.leave(s, left)
	}
	r.mu.Unlock()
	r.wakeUp()
	return nil
}

// What events with a name in their name are called together.
const (
	startRaceEvents   = "start_race_*"
	updateSpeedEvents = "update_*_speed"
)

// named finds the handler of an event with a name in its name, and its kind.
func named(event string) (h handler, kind string) {
	if token, ok := strings.CutPrefix(event, "start_race_"); ok {
		return startRace(token), startRaceEvents
	}
	if rest, ok := strings.CutPrefix(event, "update_"); ok {
		if race, ok := strings.CutSuffix(rest, "_speed"); ok {
			return updateSpeed(race), updateSpeedEvents
		}
	}
	return nil, ""
}
