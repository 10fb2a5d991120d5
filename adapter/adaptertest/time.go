package adaptertest

import (
	"time"
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
