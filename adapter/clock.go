package adapter

import (
	"sync"
	"time"
)

// A sharedClock tells the time of a server, in epoch microseconds, from measurements
// of it. Until the first one the local clock stands in for the server's. The
// times that it tells rise strictly, except that the first measurement may turn
// it back: times told before it are not comparable with those of other
// instances anyway. It is safe for concurrent use.
type sharedClock struct {
	local func() time.Time

	// mu guards the fields below. Nothing is called under it.
	mu       sync.Mutex
	measured bool
	server   int64         // microseconds, the server's clock
	at       time.Time     // when it showed that, by the local clock
	within   time.Duration // how wrong server may be: half the round trip
	last     int64         // told last
}

// clockDrift is how much two clocks may differ after one unit of time. The
// clocks of computers differ by less than 100 parts per million.
const clockDrift = 5000 // 1 in 5,000

// clockStep is the resolution of the measurements.
const clockStep = time.Millisecond

func newSharedClock(local func() time.Time) *sharedClock { return &sharedClock{local: local} }

// now is later than every time told before.
func (c *sharedClock) now() int64 {
	local := c.local()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, c.estimate(local))
	return c.last
}

// estimate is the server's time when the local clock shows local. mu is held.
func (c *sharedClock) estimate(local time.Time) int64 {
	if !c.measured {
		return local.UnixMicro()
	}
	return c.server + local.Sub(c.at).Microseconds()
}

// measure notes that the server's clock showed so many milliseconds at some
// moment between asked and answered. Of two measurements that agree the more
// exact one is kept; one that contradicts the last shows that the clock was set.
func (c *sharedClock) measure(milliseconds int64, asked, answered time.Time) {
	trip := answered.Sub(asked)
	middle := asked.Add(trip / 2)
	server := milliseconds*1000 + (clockStep / 2).Microseconds()
	within := trip/2 + clockStep/2
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.measured {
		known := c.within + middle.Sub(c.at)/clockDrift
		difference := time.Duration(server-c.estimate(middle)) * time.Microsecond
		if known < within && difference.Abs() <= known+within {
			return
		}
	} else {
		c.last = 0
	}
	c.measured, c.server, c.at, c.within = true, server, middle, within
}
