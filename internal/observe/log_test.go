package observe

import (
	"bytes"
	"encoding/json"
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
	for _, tc := range []struct {
		format config.LogFormat
		want   string
	}{
		{config.LogText, `^\d\d:\d\d:\d\d WARN  slow socket gone user=7 err="too slow"\n$`},
		{config.LogLogfmt, `^time=\S+ level=WARN msg="slow socket gone" user=7 err="too slow"\n$`},
		{config.LogAuto, `^time=\S+ level=WARN msg="slow socket gone" user=7 err="too slow"\n$`},
	} {
		var out bytes.Buffer
		NewLogger(&out, tc.format, slog.LevelInfo).With("user", 7).Warn("slow socket gone", "err", errors.New("too slow"))
		if !regexp.MustCompile(tc.want).MatchString(out.String()) {
			t.Errorf("%s: got %q", tc.format, out.String())
		}
	}
	var out bytes.Buffer
	NewLogger(&out, config.LogJSON, slog.LevelInfo).Info("hello", "n", 1)
	var got struct {
		Level, Msg string
		N          int
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Level != "INFO" || got.Msg != "hello" || got.N != 1 {
		t.Errorf("json: got %q (%v)", out.String(), err)
	}
}

func TestLevel(t *testing.T) {
	for _, format := range []config.LogFormat{config.LogText, config.LogLogfmt, config.LogJSON} {
		var out bytes.Buffer
		log := NewLogger(&out, format, slog.LevelWarn)
		log.Info("not this")
		log.Warn("but this")
		if s := out.String(); strings.Contains(s, "not this") || !strings.Contains(s, "but this") {
			t.Errorf("%s: got %q", format, s)
		}
	}
}

func TestTextKeepsGroupsAndOddAttributes(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, config.LogText, slog.LevelDebug)
	log.WithGroup("client").With("id", "a b").Debug("odd", "msg", `level=INFO msg=""`, "time", 3)
	want := `DEBUG odd client.id="a b" client.msg="level=INFO msg=\"\"" client.time=3` + "\n"
	if _, got, _ := strings.Cut(out.String(), " "); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A message of two lines looks like one record.
func TestTextLineBreaks(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out, config.LogText, slog.LevelInfo).Info("one\ntwo", "k", "x\ny")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || lines[1] != `  two k="x\ny"` {
		t.Errorf("got %q", out.String())
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
