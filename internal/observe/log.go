// Package observe sets up logging (log/slog) and Prometheus metrics. The other packages
// get a *slog.Logger and call small interfaces of their own, which Metrics satisfies.
package observe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"rollcall/internal/config"
)

// NewLogger makes the program's logger. The format auto means text on a terminal, else
// logfmt.
func NewLogger(out io.Writer, format config.LogFormat, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	switch formatFor(out, format) {
	case config.LogJSON:
		return slog.New(slog.NewJSONHandler(out, options))
	case config.LogText:
		return slog.New(newTerminalHandler(out, options))
	default:
		return slog.New(slog.NewTextHandler(out, options))
	}
}

// formatFor replaces auto by the format for out.
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

// terminalHandler writes "15:04:05 INFO  message key=value". slog's text handler renders
// the attributes into buf, behind a constant prefix, which is removed.
type terminalHandler struct {
	attributes slog.Handler
	shared     *terminalOutput
}

type terminalOutput struct {
	out io.Writer
	mu  sync.Mutex // guards buf, and makes a record one write
	buf bytes.Buffer
}

const prefix = `level=INFO msg=""`

func newTerminalHandler(out io.Writer, options *slog.HandlerOptions) terminalHandler {
	shared := &terminalOutput{out: out}
	return terminalHandler{slog.NewTextHandler(&shared.buf, options), shared}
}

func (h terminalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attributes.Enabled(ctx, level)
}

func (h terminalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return terminalHandler{h.attributes.WithAttrs(attrs), h.shared}
}

func (h terminalHandler) WithGroup(name string) slog.Handler {
	return terminalHandler{h.attributes.WithGroup(name), h.shared}
}

func (h terminalHandler) Handle(ctx context.Context, r slog.Record) error {
	line := make([]byte, 0, 256)
	if !r.Time.IsZero() {
		line = r.Time.AppendFormat(line, "15:04:05 ")
	}
	line = fmt.Appendf(line, "%-5s ", r.Level)
	// A line break in a message must not look like a new record.
	line = append(line, bytes.ReplaceAll([]byte(r.Message), []byte("\n"), []byte("\n  "))...)

	bare := r.Clone()
	bare.Time, bare.Level, bare.Message = time.Time{}, slog.LevelInfo, ""
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	h.shared.buf.Reset()
	if err := h.attributes.Handle(ctx, bare); err != nil {
		return err
	}
	_, rendered, _ := bytes.Cut(h.shared.buf.Bytes(), []byte(prefix))
	_, err := h.shared.out.Write(append(line, rendered...))
	return err
}
