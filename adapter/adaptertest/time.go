package adaptertest

import (
	"fmt"
	"time"

	"rollcall/rooms"
)

// sharedTime: every instance tells the same time, and none tells one twice.
func sharedTime(s *suite) {
	const tolerance = 5 * time.Second // of a busy machine; the clocks are one
	for i, store := range s.stores {
		last := store.Now()
		for range 1000 {
			now := store.Now()
			if now <= last {
				s.Fatalf("instance %d: %d after %d", i, now, last)
			}
			last = now
		}
		if off := time.Since(time.UnixMicro(last)); off.Abs() > tolerance {
			s.Fatalf("instance %d: off by %v", i, off)
		}
	}
}

// joinsNow: an entry without a time gets that of its put, and the caller, the
// watchers and the others learn it.
func joinsNow(s *suite) {
	journals := s.watchAll()
	var want []rooms.Change
	for i := range 10 {
		e := entry(0, fmt.Sprint(9-i), "{}", 0)
		e.RegisteredAt = int64(i + 1)
		before := s.stores[0].Now()
		unregistered := e
		unregistered.RegisteredAt = 0
		now := s.stores[0].Put(unregistered, func(last *rooms.Entry) { last.RegisteredAt = e.RegisteredAt })
		if after := s.stores[0].Now(); now.JoinedAt <= before || now.JoinedAt >= after {
			s.Fatalf("joined at %d, between %d and %d", now.JoinedAt, before, after)
		}
		e.JoinedAt = now.JoinedAt
		want = append(want, put(e))
	}
	for _, j := range journals {
		s.same("watcher", j.awaitCount(len(want)), want)
	}
}
