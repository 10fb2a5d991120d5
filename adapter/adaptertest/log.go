package adaptertest

import (
	"bytes"
	"log/slog"
	"sync"
)

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
