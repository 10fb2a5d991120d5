package observe

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/config"
)

func TestFormats(t *testing.T) {
	slow := func(log *slog.Logger) { log.With("user", 7).Warn("slow socket gone", "err", errors.New("too slow")) }
	odd := func(log *slog.Logger) {
		log.WithGroup("client").With("id", "a b").Debug("odd", "msg", `level=INFO msg=""`, "time", 3)
	}
	lines := func(log *slog.Logger) { log.Info("one\ntwo", "k", "x\ny") } // look like one record
	for _, tc := range []struct {
		format config.LogFormat
		level  slog.Level
		log    func(*slog.Logger)
		want   string
	}{
		{config.LogText, slog.LevelInfo, slow, `\d\d:\d\d:\d\d WARN  slow socket gone user=7 err="too slow"\n`},
		{config.LogLogfmt, slog.LevelInfo, slow, `time=\S+ level=WARN msg="slow socket gone" user=7 err="too slow"\n`},
		{config.LogAuto, slog.LevelInfo, slow, `time=\S+ level=WARN msg="slow socket gone" user=7 err="too slow"\n`},
		{config.LogJSON, slog.LevelInfo, slow, `\{"time":"\S+","level":"WARN","msg":"slow socket gone","user":7,"err":"too slow"\}\n`},
		{config.LogText, slog.LevelDebug, odd, `\S+ DEBUG odd client\.id="a b" client\.msg="level=INFO msg=\\"\\"" client\.time=3\n`},
		{config.LogText, slog.LevelInfo, lines, `\S+ INFO  one\n  two k="x\\ny"\n`},
		{config.LogText, slog.LevelError, slow, ``},
		{config.LogLogfmt, slog.LevelError, slow, ``},
		{config.LogJSON, slog.LevelError, slow, ``},
	} {
		var out bytes.Buffer
		tc.log(NewLogger(&out, tc.format, tc.level))
		if !regexp.MustCompile(`^` + tc.want + `$`).MatchString(out.String()) {
			t.Errorf("%s: got %q, want %s", tc.format, out.String(), tc.want)
		}
	}
}

func TestTextIsWholeUnderConcurrency(t *testing.T) {
	var out bytes.Buffer // guarded by the handler: that is what is tested
	log := NewLogger(&out, config.LogText, slog.LevelInfo)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				log.With("who", i).Info("line", "pad", strings.Repeat("x", i))
			}
		})
	}
	wg.Wait()
	whole := regexp.MustCompile(`^\d\d:\d\d:\d\d INFO  line who=\d pad=("")?x*$`)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 1600 {
		t.Errorf("%d lines, want 1600", len(lines))
	}
	for _, line := range lines {
		if !whole.MatchString(line) {
			t.Fatalf("torn line %q", line)
		}
	}
}

func TestTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if isTerminal(w) || isTerminal(io.Discard) {
		t.Error("a pipe and a plain writer are no terminals")
	}
	// A terminal is a character device; this one is there without a terminal.
	tty, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	if !isTerminal(tty) {
		t.Error("a character device counts as a terminal")
	}
}
