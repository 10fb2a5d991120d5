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

// unit is how many bytes a packet may have to count once, and again for each as
// many: reading them is what it costs.
const unit = 8 << 10

// take counts a packet of a size in bytes. It is not within the rate, or even
// over the end: who goes on after as many strikes as the burst is to be closed.
func (q *quota) take(size int) (within, over bool) {
	if q.limiter == nil {
		return true, false
	}
	now := time.Now()
	if q.limiter.AllowN(now, min(1+size/unit, q.burst)) {
		return true, false
	}
	if now.Sub(q.strikeAt) > forgiven {
		q.strikes = 0
	}
	q.strikeAt = now
	q.strikes++
	return false, q.strikes > q.burst
}

// count takes a packet of a size from a quota, and reports whether it was within
// it. Who goes on long after is closed.
func (l *link) count(q *quota, size int) bool {
	within, over := q.take(size)
	if over {
		l.session.Load().violation()
	}
	return within
}

// countOther counts a packet that is no event: there is no answer to it.
func (l *link) countOther(size int) {
	if !l.count(&l.others, size) {
		l.rest()
	}
}

// longestRest bounds what a low rate makes of a rest. It is what follows a
// violation.
const longestRest = 100 * time.Millisecond

// rest keeps the reading goroutine from the next packet for about as long as the
// rate asks for: who sends too fast waits for itself in its own socket, and
// comes back less often when it has been closed.
func (l *link) rest() {
	l.pause(time.Second / time.Duration(max(1, l.srv.opts.EventsPerSecond)))
}

// pause keeps the reading goroutine from the next packet for a time, at most
// longestRest. Without a limit there is none.
func (l *link) pause(d time.Duration) {
	if l.events.limiter == nil {
		return
	}
	timer := time.NewTimer(min(d, longestRest))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.over:
	}
}
