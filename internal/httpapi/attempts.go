package httpapi

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// attemptDelay is how long an answer to a wrong key waits, maxAttempts how
	// many wait at a time. Beyond that they are refused at once.
	attemptDelay = 500 * time.Millisecond
	maxAttempts  = 100
	// logAttemptsEvery is how often wrong keys are logged at most.
	logAttemptsEvery = 10 * time.Second
)

// Attempts slows down, counts and logs requests with a wrong key or token. Those
// with the right one never wait. It is safe for concurrent use; nil answers at
// once.
type Attempts struct {
	address func(*http.Request) string
	log     *slog.Logger
	refused func(code string)
	delay   time.Duration
	waiting chan struct{} // holds a place for each answer that waits
	unsaid  atomic.Int64  // attempts that are not in the log yet
	logging rate.Sometimes
}

// NewAttempts makes one for a server. address names a request's client; refused
// is told "wrong_key" for each attempt.
func NewAttempts(address func(*http.Request) string, log *slog.Logger, refused func(code string)) *Attempts {
	return &Attempts{
		address: address, log: log, refused: refused,
		delay: attemptDelay, waiting: make(chan struct{}, maxAttempts),
		logging: rate.Sometimes{First: 1, Interval: logAttemptsEvery},
	}
}

// refuse answers a request with a wrong key: 401 a moment later, or 429 at once
// if too many wait.
func (a *Attempts) refuse(w http.ResponseWriter, r *http.Request, message string) {
	if a.delays(w, r) {
		unauthorized(w, message)
	}
}

// delays notes an attempt and waits. It reports false when it has answered with
// 429, because too many wait.
func (a *Attempts) delays(w http.ResponseWriter, r *http.Request) bool {
	if a == nil {
		return true
	}
	a.note(r)
	if a.wait(r) {
		return true
	}
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusTooManyRequests, "too_many_attempts", "Too many requests show a wrong key now: try again later.")
	return false
}

// wait delays an answer. It reports false at once if too many wait.
func (a *Attempts) wait(r *http.Request) bool {
	select {
	case a.waiting <- struct{}{}:
	default:
		return false
	}
	defer func() { <-a.waiting }()
	timer := time.NewTimer(a.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	return true
}

func (a *Attempts) note(r *http.Request) {
	a.refused("wrong_key")
	a.unsaid.Add(1)
	a.logging.Do(func() {
		a.log.Warn("a wrong key or token was shown over HTTP", "attempts", a.unsaid.Swap(0), "address", a.address(r), "path", clip(r.URL.Path))
	})
}

func unauthorized(w http.ResponseWriter, message string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	fail(w, http.StatusUnauthorized, "unauthorized", message)
}

// clip shortens what a client wrote, for a line of the log.
func clip(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
