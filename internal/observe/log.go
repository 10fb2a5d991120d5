// Package observe is how the program shows what it does: log/slog set-up and
// Prometheus metrics. The packages that are observed know neither; they are
// handed a *slog.Logger and call small interfaces of their own, which Metrics
// satisfies.
package observe

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"rollcall/internal/config"
)

// NewLogger makes the program's logger. The format auto is text when out is a
// terminal and logfmt when it is a file or a pipe that a program reads.
func NewLogger(out io.Writer, format config.LogFormat, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	switch formatFor(out, format) {
	case config.LogJSON:
		return slog.New(slog.NewJSONHandler(out, options))
	case config.LogText:
		return slog.New(newPeopleHandler(out, options))
	default:
		return slog.New(slog.NewTextHandler(out, options))
	}
}

// formatFor is the format that auto means for out.
func formatFor(out io.Writer, format config.LogFormat) config.LogFormat {
	switch {
	case format != config.LogAuto:
		return format
	case isTerminal(out):
		return config.LogText
	}
	return config.LogLogfmt
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// peopleHandler writes "15:04:05 INFO  message key=value". The attributes are
// slog's own: its text handler renders them into buf behind a head that is
// always the same and is cut off.
type peopleHandler struct {
	attributes slog.Handler
	shared     *peopleOutput
}

type peopleOutput struct {
	out io.Writer
	// mu makes a record one write; buf belongs to whoever holds it.
	mu  sync.Mutex
	buf bytes.Buffer
}

const head = `level=INFO msg=""`

func newPeopleHandler(out io.Writer, options *slog.HandlerOptions) peopleHandler {
	shared := &peopleOutput{out: out}
	return peopleHandler{slog.NewTextHandler(&shared.buf, options), shared}
}

func (h peopleHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attributes.Enabled(ctx, level)
}

func (h peopleHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return peopleHandler{h.attributes.WithAttrs(attrs), h.shared}
}

func (h peopleHandler) WithGroup(name string) slog.Handler {
	return peopleHandler{h.attributes.WithGroup(name), h.shared}
}

func (h peopleHandler) Handle(ctx context.Context, r slog.Record) error {
	line := make([]byte, 0, 256)
	if !r.Time.IsZero() {
		line = r.Time.AppendFormat(line, "15:04:05 ")
	}
	line = append(line, r.Level.String()...)
	for n := len(r.Level.String()); n < len("ERROR "); n++ {
		line = append(line, ' ')
	}
	// A line break in a message must not look like a record of its own.
	line = append(line, bytes.ReplaceAll([]byte(r.Message), []byte("\n"), []byte("\n  "))...)

	bare := r.Clone()
	bare.Time, bare.Level, bare.Message = time.Time{}, slog.LevelInfo, ""
	return h.shared.write(ctx, line, bare, h.attributes)
}

// write is one record: line, and what attributes renders of bare.
func (o *peopleOutput) write(ctx context.Context, line []byte, bare slog.Record, attributes slog.Handler) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Reset()
	if err := attributes.Handle(ctx, bare); err != nil {
		return err
	}
	_, rendered, _ := bytes.Cut(o.buf.Bytes(), []byte(head))
	_, err := o.out.Write(append(line, rendered...))
	return err
}
