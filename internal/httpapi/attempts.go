package httpapi

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"rollcall/internal/retry"
)

const (
	// attemptDelay delays the answer to a wrong key, of maxAttempts requests at a time.
	// Further ones get 429 at once.
	attemptDelay = 500 * time.Millisecond
	maxAttempts  = 100
	// logAttemptsEvery is the time between two lines of the log.
	logAttemptsEvery = 10 * time.Second
)

// Attempts delays, counts and logs requests with a wrong key or token. It is safe for
// concurrent use.
type Attempts struct {
	address  func(*http.Request) string
	log      *slog.Logger
	refused  func(code string)
	delay    time.Duration
	waiting  chan struct{} // a semaphore of maxAttempts
	unlogged atomic.Int64  // attempts since the last line
	logging  rate.Sometimes
}

// NewAttempts makes the Attempts of a server. address gives the address of a request's
// client; refused gets "wrong_key" for each attempt.
func NewAttempts(address func(*http.Request) string, log *slog.Logger, refused func(code string)) *Attempts {
	return &Attempts{
		address: address, log: log, refused: refused,
		delay: attemptDelay, waiting: make(chan struct{}, maxAttempts),
		logging: rate.Sometimes{First: 1, Interval: logAttemptsEvery},
	}
}

// refuse answers a request with a wrong key: 401 after a delay, or 429 at once if too
// many wait.
func (a *Attempts) refuse(w http.ResponseWriter, r *http.Request, message string) {
	if a.delays(w, r) {
		unauthorized(w, message)
	}
}

// delays counts an attempt and waits. It reports false if too many wait and it has
// answered 429.
func (a *Attempts) delays(w http.ResponseWriter, r *http.Request) bool {
	a.refused("wrong_key")
	a.unlogged.Add(1)
	a.logging.Do(func() {
		a.log.Warn("a wrong key or token was shown over HTTP",
			"attempts", a.unlogged.Swap(0), "address", a.address(r), "path", clip(r.URL.Path))
	})
	select {
	case a.waiting <- struct{}{}:
		defer func() { <-a.waiting }()
		retry.Sleep(r.Context(), a.delay)
		return true
	default:
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusTooManyRequests, "too_many_attempts", "Too many requests show a wrong key now: try again later.")
		return false
	}
}

func unauthorized(w http.ResponseWriter, message string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	fail(w, http.StatusUnauthorized, "unauthorized", message)
}

// clip shortens a client's text for the log.
func clip(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
