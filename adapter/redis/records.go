package redis

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"rollcall/adapter"
	"rollcall/internal/retry"
	"rollcall/rooms"
)

const (
	// lastActivePause is the pause between two writes of when users were active.
	lastActivePause = time.Second
	// maxLastActive bounds the users that wait to be written, and maxTouch those of
	// one call. Without Redis, users beyond it are dropped.
	maxLastActive = 100_000
	maxTouch      = 1000
	// maxQueries is how many calls may ask for records at a time, and maxWaiting
	// how many more may wait. Calls of the app (rooms.FromApp) have maxAppQueries of
	// their own: they never wait behind others'.
	maxQueries    = 3
	maxAppQueries = 2
	maxWaiting    = 64
)

// querySlots bound how many calls ask for records, and how many wait to.
type querySlots struct {
	taken chan struct{}
	asked atomic.Int32 // calls that ask or wait
}

// acquire waits for a slot within ctx. It returns errUnavailable at once if too
// many wait already. Without an error, release must follow.
func (p *querySlots) acquire(ctx context.Context) error {
	if int(p.asked.Add(1)) > cap(p.taken)+maxWaiting {
		p.asked.Add(-1)
		return errUnavailable
	}
	select {
	case p.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		p.asked.Add(-1)
		return ctx.Err()
	}
}

func (p *querySlots) release() {
	<-p.taken
	p.asked.Add(-1)
}

// A lastActiveBuffer has when users were active, until that is in Redis. Store.mu
// guards it.
type lastActiveBuffer struct {
	some    chan struct{} // tells that users wait
	waiting map[string]activity
}

type activity struct {
	at         int64
	remembered bool // when the user has gone
}

func newLastActiveBuffer() lastActiveBuffer {
	return lastActiveBuffer{some: make(chan struct{}, 1), waiting: make(map[string]activity)}
}

// note adds a time. A user with a very long id is not remembered.
func (s *lastActiveBuffer) note(user string, at int64, remembered bool) {
	if len(user) > adapter.MaxSeenID {
		return
	}
	before, known := s.waiting[user]
	if !known && len(s.waiting) >= maxLastActive {
		return
	}
	s.waiting[user] = activity{max(before.at, at), before.remembered || remembered}
	signal(s.some)
}

// batch is some of them. They stay until done.
func (s *lastActiveBuffer) batch(most int) map[string]activity {
	batch := make(map[string]activity, min(most, len(s.waiting)))
	for user, last := range s.waiting {
		if len(batch) == most {
			break
		}
		batch[user] = last
	}
	return batch
}

// done removes what was written, unless it has changed since.
func (s *lastActiveBuffer) done(batch map[string]activity) {
	for user, last := range batch {
		if s.waiting[user] == last {
			delete(s.waiting, user)
		}
	}
}

// at is when a user was active, 0 if that does not wait here or is not remembered.
func (s *lastActiveBuffer) at(user string) int64 {
	if last := s.waiting[user]; last.remembered {
		return last.at
	}
	return 0
}

// Touch implements rooms.Store.
func (r *Store) Touch(user string, at int64) {
	at = min(at, r.timing.Now().UnixMilli())
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		e, ok := r.own.entries[rooms.EntryKey{List: rooms.Online, Key: user}]
		r.active.note(user, at, !ok || e.UserID != user) // else it is the socket's
	}
}

// A lastActiveWriter writes when users were active.
type lastActiveWriter struct{ *Store }

// write writes what waits, once a second, until ctx ends.
func (r lastActiveWriter) write(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-r.active.some:
		case <-ctx.Done():
			return
		}
		if r.flush(ctx) != nil {
			signal(r.active.some) // to retry
		}
		retry.Sleep(ctx, lastActivePause)
	}
}

// flush writes all that waits.
func (r lastActiveWriter) flush(ctx context.Context) error {
	for {
		r.mu.Lock()
		batch := r.active.batch(maxTouch)
		r.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		args := make([]any, 0, 3*len(batch))
		for user, last := range batch {
			args = append(args, user, last.at, last.remembered)
		}
		if _, err := r.runScript(ctx, r.timing.Call, r.scripts.touch, args...); err != nil {
			return err
		}
		r.mu.Lock()
		r.active.done(batch)
		r.mu.Unlock()
	}
}

// LastActive implements rooms.Records.
func (r *Store) LastActive(ctx context.Context, user string) (int64, error) {
	r.mu.Lock()
	waiting := r.active.at(user)
	r.mu.Unlock()
	reply, err := r.query(ctx, r.scripts.lastActive, user)
	if err != nil {
		return 0, err
	}
	at, _ := strconv.ParseInt(text(reply), 10, 64) // "" for not known
	if waiting > at && waiting >= r.timing.Now().Add(-adapter.KeepSeen).UnixMilli() {
		at = waiting
	}
	return at, nil
}

// query asks for a record. Few calls do at a time, so that the lease never waits for
// a connection behind them; without Redis none does.
func (r *Store) query(ctx context.Context, script *luaScript, args ...any) (any, error) {
	slots := &r.queries
	if rooms.IsFromApp(ctx) {
		slots = &r.appQueries
	}
	if err := slots.acquire(ctx); err != nil {
		return nil, err
	}
	defer slots.release()
	r.mu.Lock()
	gone := r.health.down || r.closed
	r.mu.Unlock()
	if gone {
		return nil, errUnavailable
	}
	reply, err := r.runScript(ctx, r.timing.Call, script, args...)
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	return reply, err
}

// History implements rooms.Records.
func (r *Store) History(ctx context.Context, room string) ([]rooms.ChatMessage, error) {
	reply, err := r.query(ctx, r.scripts.history, room)
	if err != nil {
		return nil, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 2 {
		return nil, errUnavailable
	}
	var all []rooms.ChatMessage
	for _, body := range texts(parts[1]) {
		if message, err := parseMessage(room, body); err == nil { // else another program wrote it
			all = append(all, message)
		}
	}
	return adapter.NotBefore(all, integer(parts[0])-adapter.KeepHistory.Milliseconds()), nil
}
