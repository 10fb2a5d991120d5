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

// longestRest bounds all rests but the one after a violation, which is longer: it
// costs those only who break the protocol over and over.
const (
	longestRest    = 100 * time.Millisecond
	afterViolation = time.Second
)

// A connection is read at a megabyte a second, a message counting frameCost
// beside its bytes: that is a few percent of a core, whatever is sent and with a
// limit or not. The reading goroutine sleeps after longestTurn bytes. Yielding is
// not enough: whom it lets run may be on another thread, which the kernel has
// put on the same core.
const (
	longestTurn = 2 << 10
	perByte     = time.Microsecond
)

// breathe counts a message of a size in bytes that was read, and rests when it
// is time.
func (l *link) breathe(size int) {
	l.turn += size + frameCost
	if l.turn >= longestTurn {
		l.pause(min(time.Duration(l.turn)*perByte, longestRest))
		l.turn = 0
	}
}

// rest keeps the reading goroutine from the next packet for about as long as the
// rate asks for: who sends too fast waits for itself in its own socket, and
// comes back less often when it has been closed.
func (l *link) rest() {
	if rate := l.srv.opts.EventsPerSecond; rate > 0 {
		l.pause(min(time.Second/time.Duration(rate), longestRest))
	}
}

// repent is the rest of who broke the protocol.
func (l *link) repent() {
	if l.srv.opts.EventsPerSecond > 0 {
		l.pause(afterViolation)
	}
}

// pause waits for a time, or until the connection ends.
func (l *link) pause(d time.Duration) { wait(l.over, d) }
