package observe

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"

	"rollcall/internal/config"
)

// maxLogBuffer bounds the lines that wait to be written, in bytes. As much again
// may be in the write that is under way.
const maxLogBuffer = 1 << 20

// A LogWriter hands lines to a slow or dead writer without waiting for it: what
// is written to it goes into a bounded buffer, and a goroutine brings it out.
// When the buffer is full, further lines are dropped and counted; as soon as
// there is room again, one line says how many. It is safe for concurrent use.
//
// The goroutine ends with Close, unless the writer below blocks for good.
type LogWriter struct {
	out    io.Writer
	notice func(lines uint64) []byte // the line that tells of dropped ones
	wake   chan struct{}             // there is something to write, or it is closed
	ended  chan struct{}             // closed when the goroutine has ended

	// mu guards the fields below. Nothing is written under it.
	mu      sync.Mutex
	waiting []byte
	untold  uint64 // lines that were dropped and that no line has told of
	dropped uint64 // lines that were dropped
	closed  bool
}

// NewLogWriter starts one. notice makes the line that says how many lines were
// dropped, with a line break at its end.
func NewLogWriter(out io.Writer, notice func(lines uint64) []byte) *LogWriter {
	w := &LogWriter{out: out, notice: notice, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.run()
	return w
}

// OpenLog makes the program's logger, as NewLogger does, which never waits for
// out. Close the writer at the end.
func OpenLog(out io.Writer, format config.LogFormat, level slog.Level) (*slog.Logger, *LogWriter) {
	format = formatFor(out, format)
	w := NewLogWriter(out, func(lines uint64) []byte {
		var line bytes.Buffer
		NewLogger(&line, format, slog.LevelWarn).Warn("log lines were dropped, because nobody took them in time", "lines", lines)
		return line.Bytes()
	})
	return NewLogger(w, format, level), w
}

// Write takes one or more lines, or drops them. It neither blocks nor fails.
func (w *LogWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	// What comes after dropped lines is dropped as well, until that is told: so
	// the notice stands where they are missing.
	if w.closed || w.untold > 0 || len(w.waiting)+len(line) > maxLogBuffer {
		w.drop(countLines(line))
	} else {
		w.waiting = append(w.waiting, line...)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// drop counts lines that nobody will see. mu is held.
func (w *LogWriter) drop(lines uint64) {
	w.untold += lines
	w.dropped += lines
}

func countLines(text []byte) uint64 {
	lines := bytes.Count(text, []byte("\n"))
	if len(text) > 0 && text[len(text)-1] != '\n' {
		lines++
	}
	return uint64(lines)
}

// Dropped is how many lines were dropped since the start.
func (w *LogWriter) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Close takes no more lines and waits until what was taken is written, or until
// ctx ends: then the rest is lost.
func (w *LogWriter) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run brings lines out until it is closed and nothing waits.
func (w *LogWriter) run() {
	defer close(w.ended)
	var spare []byte
	for range w.wake {
		for {
			text, untold, last := w.take(spare)
			spare = text[:0] // its memory serves again, once this text is written
			if len(text) == 0 && untold == 0 {
				if last {
					return
				}
				break
			}
			if !w.bringOut(text, untold) {
				break // the writer is broken: try again with the next line
			}
		}
		if w.isDone() {
			return
		}
	}
}

// take is what waits, and how many lines were dropped behind it.
func (w *LogWriter) take(spare []byte) (text []byte, untold uint64, last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, untold = w.waiting, w.untold
	w.waiting, w.untold = spare, 0
	return text, untold, w.closed
}

// isDone reports whether it is closed: what a broken writer did not take by then
// it will not take.
func (w *LogWriter) isDone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// bringOut writes lines, and then that others are missing. What the writer
// refuses is dropped.
func (w *LogWriter) bringOut(text []byte, untold uint64) bool {
	n, err := w.out.Write(text)
	if err == nil && untold > 0 {
		if _, err = w.out.Write(w.notice(untold)); err == nil {
			return true
		}
	}
	if err == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.untold += untold
	w.drop(countLines(text[min(n, len(text)):]))
	return false
}
