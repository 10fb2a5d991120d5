package adapter

import (
	"sync/atomic"
	"time"
)

// A Clock tells the time of a server, in epoch microseconds, from measurements of
// it; before the first one, that of the local clock. Its times rise strictly, except
// that the first measurement may set it back: earlier times cannot be compared with
// those of other instances anyway. It is safe for concurrent use.
type Clock struct {
	local func() time.Time
	known atomic.Pointer[measurement] // the best one; nil: there is none yet
	last  atomic.Int64                // returned last
}

// A measurement says that the server's clock showed a time at another of the
// local clock.
type measurement struct {
	server int64         // microseconds
	at     time.Time     // by the local clock
	within time.Duration // how wrong server may be: half the round trip
}

// clockDrift is how much two clocks may differ after one unit of time. The
// clocks of computers differ by less than 100 parts per million.
const clockDrift = 5000 // 1 in 5,000

// clockStep is the resolution of the measurements.
const clockStep = time.Millisecond

func NewClock(local func() time.Time) *Clock { return &Clock{local: local} }

// Now is later than every time that it returned before.
func (c *Clock) Now() int64 {
	estimate := c.known.Load().estimate(c.local())
	for {
		last := c.last.Load()
		if now := max(last+1, estimate); c.last.CompareAndSwap(last, now) {
			return now
		}
	}
}

// estimate is the server's time when the local clock shows local.
func (m *measurement) estimate(local time.Time) int64 {
	if m == nil {
		return local.UnixMicro()
	}
	return m.server + local.Sub(m.at).Microseconds()
}

// Measure notes that the server's clock showed so many milliseconds at some
// moment between asked and answered. Of two measurements that agree the more
// exact one is kept; one that contradicts the last shows that the clock was set.
// One goroutine at a time may call it.
func (c *Clock) Measure(milliseconds int64, asked, answered time.Time) {
	trip := answered.Sub(asked)
	now := &measurement{
		server: milliseconds*1000 + (clockStep / 2).Microseconds(),
		at:     asked.Add(trip / 2),
		within: trip/2 + clockStep/2,
	}
	if known := c.known.Load(); known == nil {
		c.last.Store(0)
	} else {
		within := known.within + now.at.Sub(known.at)/clockDrift
		difference := time.Duration(now.server-known.estimate(now.at)) * time.Microsecond
		if within < now.within && difference.Abs() <= within+now.within {
			return
		}
	}
	c.known.Store(now)
}
