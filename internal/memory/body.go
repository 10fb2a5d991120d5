package memory

import (
	"context"
	"io"
	"net/http"
	"time"
)

// A body must make progress: at least stallBytes in every stallTime, except at its end.
// So a client that stops holds its part of the budget for no longer than that.
const (
	stallTime  = 5 * time.Second
	stallBytes = 1 << 10
)

// ReadBody reads a request's body of at most max bytes within a time. Call the returned
// function when the body is not used any more. Errors are *http.MaxBytesError, ErrFull,
// or the connection's.
func (b *Budget) ReadBody(w http.ResponseWriter, r *http.Request, max int64, within time.Duration) ([]byte, func(), error) {
	body := http.MaxBytesReader(w, r.Body, max)
	deadline := http.NewResponseController(w).SetReadDeadline
	return b.ReadWithin(r.Context(), body, min(r.ContentLength, max), within, deadline)
}

// ReadWithin is ReadAll for a connection: within a time, and with progress. Deadline
// sets the connection's read deadline, which ReadWithin removes after a success.
func (b *Budget) ReadWithin(ctx context.Context, r io.Reader, expected int64, within time.Duration, deadline func(time.Time) error) ([]byte, func(), error) {
	now := time.Now()
	data, release, err := b.ReadAll(ctx, &timed{r: r, deadline: deadline, end: now.Add(within), since: now}, expected)
	switch err {
	case nil:
		_ = deadline(time.Time{})
	case ErrFull: // net/http reads the rest and drops it
		_ = deadline(time.Now().Add(reserveTimeout))
	}
	return data, release, err
}

// timed sets the connection's read deadline before each read. A test's recorder has
// none.
type timed struct {
	r        io.Reader
	deadline func(time.Time) error
	end      time.Time // of the whole read
	since    time.Time // when the current stallBytes began
	came     int       // bytes since then
}

func (t *timed) Read(p []byte) (int, error) {
	next := t.since.Add(stallTime)
	if t.end.Before(next) {
		next = t.end
	}
	_ = t.deadline(next)
	n, err := t.r.Read(p)
	if t.came += n; t.came >= stallBytes {
		t.came, t.since = 0, time.Now()
	}
	return n, err
}
