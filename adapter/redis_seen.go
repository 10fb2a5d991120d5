package adapter

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/retry"
	"rollcall/rooms"
)

const (
	// seenEvery is the pause between two notes of who was active.
	seenEvery = time.Second
	// maxSightings bounds those that wait to be noted, and maxTouch those that
	// one call notes. Without Redis, whoever is one too many is not noted.
	maxSightings = 100_000
	maxTouch     = 1000
	// maxRecalls is how many calls may ask for records at a time, and
	// maxWaiting how many more may wait for their turn. The app's own have
	// places of their own (rooms.FromApp): they never wait behind others'.
	maxRecalls    = 3
	maxAppRecalls = 2
	maxWaiting    = 64
)

// recallPlaces bound how many calls ask for records, and how many wait to.
type recallPlaces struct {
	taken   chan struct{}
	waiting atomic.Int32
}

// enter waits for a place within ctx. It returns errUnavailable at once if too
// many wait already.
func (p *recallPlaces) enter(ctx context.Context) error {
	select {
	case p.taken <- struct{}{}:
		return nil
	default:
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > maxWaiting {
		return errUnavailable
	}
	select {
	case p.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *recallPlaces) leave() { <-p.taken }

// sightings are who was active and is not noted in Redis yet. Redis.mu guards them.
type sightings struct {
	some    chan struct{} // tells that there are some
	waiting map[string]lastSeen
}

type lastSeen struct {
	at         int64
	remembered bool // beyond being online
}

func newSightings() sightings {
	return sightings{some: make(chan struct{}, 1), waiting: make(map[string]lastSeen)}
}

// note adds one. A user with a very long id is known by its entries alone.
func (s *sightings) note(user string, at int64, remembered bool) {
	if len(user) > maxSeenID {
		return
	}
	before, known := s.waiting[user]
	if !known && len(s.waiting) >= maxSightings {
		return
	}
	s.waiting[user] = lastSeen{max(before.at, at), before.remembered || remembered}
	signal(s.some)
}

// batch is some of them. They stay until they are done.
func (s *sightings) batch(most int) map[string]lastSeen {
	batch := make(map[string]lastSeen, min(most, len(s.waiting)))
	for user, last := range s.waiting {
		if len(batch) == most {
			break
		}
		batch[user] = last
	}
	return batch
}

// done lets go of what is noted and was not seen again since.
func (s *sightings) done(batch map[string]lastSeen) {
	for user, last := range batch {
		if s.waiting[user] == last {
			delete(s.waiting, user)
		}
	}
}

// of is when a user was seen, as far as that waits and will be remembered.
func (s *sightings) of(user string) int64 {
	if last := s.waiting[user]; last.remembered {
		return last.at
	}
	return 0
}

// Touch implements rooms.Store.
func (r *Redis) Touch(user string, at int64) {
	at = min(at, r.timing.Now().UnixMilli())
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		e, ok := r.own.entries[rooms.Place{List: rooms.Online, Key: user}]
		r.seen.note(user, at, !ok || e.UserID != user) // else it is the socket's
	}
}

// noteSeen writes what was seen, all of a second together, until ctx ends.
func (r *Redis) noteSeen(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-r.seen.some:
		case <-ctx.Done():
			return
		}
		if r.flushSeen(ctx) != nil {
			signal(r.seen.some) // it is tried again
		}
		retry.Sleep(ctx, seenEvery)
	}
}

// flushSeen writes all that was seen.
func (r *Redis) flushSeen(ctx context.Context) error {
	for {
		r.mu.Lock()
		batch := r.seen.batch(maxTouch)
		r.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		args := make([]any, 0, 3*len(batch))
		for user, last := range batch {
			args = append(args, user, last.at, last.remembered)
		}
		if _, err := r.run(ctx, r.timing.Call, r.scripts.touch, args...); err != nil {
			return err
		}
		r.mu.Lock()
		r.seen.done(batch)
		r.mu.Unlock()
	}
}

// LastActive implements rooms.Records.
func (r *Redis) LastActive(ctx context.Context, user string) (int64, error) {
	r.mu.Lock()
	waiting := r.seen.of(user)
	r.mu.Unlock()
	reply, err := r.recall(ctx, r.scripts.lastActive, user)
	if err != nil {
		return 0, err
	}
	text, _ := reply.(string)
	at, _ := strconv.ParseInt(text, 10, 64) // "" for not known
	if waiting > at && waiting >= r.timing.Now().Add(-keepSeen).UnixMilli() {
		at = waiting
	}
	return at, nil
}

// recall asks for a record. Only some calls do at a time, so that the lease
// never waits for a connection behind them; without Redis none does.
func (r *Redis) recall(ctx context.Context, script *luaScript, args ...any) (any, error) {
	places := &r.recalls
	if rooms.IsFromApp(ctx) {
		places = &r.appRecalls
	}
	if err := places.enter(ctx); err != nil {
		return nil, err
	}
	defer places.leave()
	r.mu.Lock()
	gone := r.health.gone || r.closed
	r.mu.Unlock()
	if gone {
		return nil, errUnavailable
	}
	reply, err := r.run(ctx, r.timing.Call, script, args...)
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return reply, err
}
