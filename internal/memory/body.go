package memory

import (
	"context"
	"io"
	"net/http"
	"time"
)

// A body has to go on: in every stallTime at least stallBytes of it have to come,
// or be missing to its end. So a client that stops holds its part of the budget
// for no longer than that.
const (
	stallTime  = 5 * time.Second
	stallBytes = 1 << 10
)

// ReadBody reads a request's body of at most max bytes, within a time, and returns
// it with a function that gives its memory back. Errors are *http.MaxBytesError,
// ErrFull, or the connection's.
func (b *Budget) ReadBody(w http.ResponseWriter, r *http.Request, max int64, within time.Duration) ([]byte, func(), error) {
	body := http.MaxBytesReader(w, r.Body, max)
	deadline := http.NewResponseController(w).SetReadDeadline
	return b.ReadWithin(r.Context(), body, min(r.ContentLength, max), within, deadline)
}

// ReadWithin is ReadAll for what comes from a connection: within a time, and
// without a stop. Deadline sets the connection's, which is removed after a
// success: handling what was read takes its own time.
func (b *Budget) ReadWithin(ctx context.Context, r io.Reader, expected int64, within time.Duration, deadline func(time.Time) error) ([]byte, func(), error) {
	now := time.Now()
	data, release, err := b.ReadAll(ctx, &timed{r: r, deadline: deadline, end: now.Add(within), since: now}, expected)
	switch err {
	case nil:
		_ = deadline(time.Time{})
	case ErrFull: // what is left is read and dropped, for a moment
		_ = deadline(time.Now().Add(patience))
	}
	return data, release, err
}

// timed sets the connection's read deadline before each read. What cannot be
// timed (a test's recorder) has no connection.
type timed struct {
	r        io.Reader
	deadline func(time.Time) error
	end      time.Time // of all
	since    time.Time // when the present stallBytes began
	came     int       // of them
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
