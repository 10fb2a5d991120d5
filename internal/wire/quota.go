package wire

import (
	"time"

	"golang.org/x/time/rate"
)

// quota limits how many packets of a kind one connection may send. It belongs to
// the goroutine that reads. The zero value has no limit.
type quota struct {
	limiter  *rate.Limiter
	burst    int
	strikes  int // packets over the rate, lately
	strikeAt time.Time
}

// forgiven is how long it takes until strikes are forgotten.
const forgiven = 10 * time.Second

func newQuota(o Options) quota {
	if o.EventsPerSecond <= 0 {
		return quota{}
	}
	return quota{limiter: rate.NewLimiter(rate.Limit(o.EventsPerSecond), o.EventsBurst), burst: o.EventsBurst}
}

// take counts a packet. It is not within the rate, or even over the end: who
// goes on after as many strikes as the burst is to be closed.
func (q *quota) take() (within, over bool) {
	if q.limiter == nil {
		return true, false
	}
	now := time.Now()
	if q.limiter.AllowN(now, 1) {
		return true, false
	}
	if now.Sub(q.strikeAt) > forgiven {
		q.strikes = 0
	}
	q.strikeAt = now
	q.strikes++
	return false, q.strikes > q.burst
}
