package adaptertest

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// Patience is how long tests wait for a condition. It is generous, because a
// busy machine may take long: how soon something has to be right is held by the
// simulation of the Redis store, in virtual time.
const Patience = time.Minute

// Eventually waits until a condition is met, and fails the test if it never is.
func Eventually(t testing.TB, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v there is still not: %s", Patience, what)
		}
	}
}

// A Log keeps what is logged, for tests. It is safe for concurrent use.
type Log struct {
	// mu guards the field below.
	mu   sync.Mutex
	text bytes.Buffer
}

// Logger logs to l.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String is everything that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
