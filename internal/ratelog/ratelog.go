// Package ratelog logs what may happen a thousand times a second.
package ratelog

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Warning logs one text, once a minute at most. It is safe for concurrent use.
type Warning struct {
	log   *slog.Logger
	text  string
	limit rate.Sometimes
	times atomic.Int64 // since the last line
}

// New makes a warning that has not been logged yet.
func New(log *slog.Logger, text string) *Warning {
	return &Warning{log: log, text: text, limit: rate.Sometimes{Interval: time.Minute}}
}

// Note logs err, with how many were noted since the last line, or counts it for
// the next line.
func (w *Warning) Note(err error) {
	w.times.Add(1)
	var times int64 // of the line that is due
	w.limit.Do(func() { times = w.times.Swap(0) })
	if times > 0 {
		w.log.Warn(w.text, "error", err, "times", times)
	}
}
