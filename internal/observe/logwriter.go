package observe

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"

	"rollcall/internal/config"
)

// maxLogBuffer bounds the lines that wait to be written, in bytes. As much again may be
// in the write under way.
const maxLogBuffer = 1 << 20

// A LogWriter never waits for a slow or dead writer: it puts lines into a bounded
// buffer, and a goroutine writes the buffer out. When the buffer is full, it drops and
// counts further lines; as soon as there is room again, one line says how many. It is
// safe for concurrent use.
//
// The goroutine ends with Close, unless a write blocks for good.
type LogWriter struct {
	out    io.Writer
	notice func(lines uint64) []byte // the line that reports dropped ones
	wake   chan struct{}             // there is something to write, or closed is set
	ended  chan struct{}             // closed when the goroutine has ended

	// mu guards the fields below. Nothing is written under it.
	mu         sync.Mutex
	waiting    []byte
	unreported uint64 // dropped lines that no notice has reported
	dropped    uint64 // all dropped lines
	closed     bool
}

// NewLogWriter starts a LogWriter. notice makes the line that says how many lines were
// dropped, with its line break.
func NewLogWriter(out io.Writer, notice func(lines uint64) []byte) *LogWriter {
	w := &LogWriter{out: out, notice: notice, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.run()
	return w
}

// OpenLog makes the program's logger as NewLogger does, over a LogWriter. Close the
// writer at the end.
func OpenLog(out io.Writer, format config.LogFormat, level slog.Level) (*slog.Logger, *LogWriter) {
	format = formatFor(out, format)
	w := NewLogWriter(out, func(lines uint64) []byte {
		var line bytes.Buffer
		NewLogger(&line, format, slog.LevelWarn).Warn("log lines were dropped, because nobody took them in time", "lines", lines)
		return line.Bytes()
	})
	return NewLogger(w, format, level), w
}

// Write queues one or more lines, or drops them. It neither blocks nor fails.
func (w *LogWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	// After dropped lines further ones are dropped too, until the notice is written:
	// so it stands where lines are missing.
	if w.closed || w.unreported > 0 || len(w.waiting)+len(line) > maxLogBuffer {
		w.drop(line)
	} else {
		w.waiting = append(w.waiting, line...)
	}
	w.mu.Unlock()
	w.wakeUp()
	return len(line), nil
}

func (w *LogWriter) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// drop counts dropped lines, of which the last may lack its line break. mu is held.
func (w *LogWriter) drop(text []byte) {
	lines := uint64(bytes.Count(text, []byte("\n")))
	if len(text) > 0 && text[len(text)-1] != '\n' {
		lines++
	}
	w.unreported += lines
	w.dropped += lines
}

// Dropped is how many lines were dropped since the start.
func (w *LogWriter) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Close rejects further lines and waits until the queued ones are written, or until ctx
// ends: then the rest is lost.
func (w *LogWriter) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wakeUp()
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes lines until the LogWriter is closed and nothing waits, or a write fails
// after the close.
func (w *LogWriter) run() {
	defer close(w.ended)
	var spare []byte
	for range w.wake {
		for written := true; written; {
			text, unreported, closed := w.take(spare)
			spare = text[:0] // reused after this text is written
			some := len(text) > 0 || unreported > 0
			written = some && w.writeOut(text, unreported)
			if closed && !written {
				return
			}
		}
	}
}

// take removes and returns what waits, and how many lines were dropped behind it.
func (w *LogWriter) take(spare []byte) (text []byte, unreported uint64, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, unreported = w.waiting, w.unreported
	w.waiting, w.unreported = spare, 0
	return text, unreported, w.closed
}

// writeOut writes lines, then the notice of dropped ones. It drops what cannot be
// written and reports whether all was written.
func (w *LogWriter) writeOut(text []byte, unreported uint64) bool {
	n, err := w.out.Write(text)
	if err == nil && unreported > 0 {
		_, err = w.out.Write(w.notice(unreported))
	}
	if err == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unreported += unreported
	w.drop(text[min(n, len(text)):])
	return false
}
