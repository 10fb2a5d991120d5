package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/config"
)

// A pipe accepts writes while it has room, blocks beyond that, and can fail.
type pipe struct {
	mu    sync.Mutex // guards all below
	more  sync.Cond
	text  bytes.Buffer
	room  int
	broke bool
}

func newPipe(room int) *pipe {
	p := &pipe{room: room}
	p.more.L = &p.mu
	return p
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > p.room && !p.broke {
		p.more.Wait()
	}
	if p.broke {
		return 0, errors.New("broken pipe")
	}
	p.room -= len(b)
	return p.text.Write(b)
}

func (p *pipe) set(room int, broke bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.room, p.broke = room, broke
	p.more.Broadcast()
}

func (p *pipe) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

const plenty = 1 << 30

// New lines do not overwrite those that are being written.
func TestLogKeepsWhatIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newPipe(plenty)
		w := NewLogWriter(out, func(uint64) []byte { return nil })
		want := ""
		for i := range 10 {
			out.set(0, false)
			for _, line := range []string{"written", "waiting"} {
				text := fmt.Sprintf("%s %d\n", line, i)
				w.Write([]byte(text))
				want += text
				synctest.Wait() // the first is in a write that blocks
			}
			out.set(plenty, false)
			synctest.Wait()
		}
		if got := out.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		w.Close(t.Context())
	})
}

// A log that is not read blocks nothing; when it is read again, one line says how many
// lines are missing, where they are missing.
func TestLogThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(100)
		log, w := OpenLog(p, config.LogLogfmt, slog.LevelInfo)
		log.Info("first")
		synctest.Wait()
		const lines = 20_000
		pad := strings.Repeat("x", 100)
		for n := range lines {
			log.Info("line", "n", n, "pad", pad)
		}
		if w.Dropped() == 0 {
			t.Fatal("nothing was dropped")
		}
		if len(w.waiting) > maxLogBuffer {
			t.Errorf("%d bytes wait", len(w.waiting))
		}
		p.set(plenty, false)
		synctest.Wait()
		log.Info("last")
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSpace(p.String()), "\n")
		if !strings.Contains(got[0], "first") || !strings.Contains(got[len(got)-1], "last") {
			t.Errorf("first %q, last %q", got[0], got[len(got)-1])
		}
		notice := got[len(got)-2]
		if want := fmt.Sprintf(`level=WARN msg="log lines were dropped, because nobody took them in time" lines=%d`, w.Dropped()); !strings.Contains(notice, want) {
			t.Errorf("got %q, want %q", notice, want)
		}
		if kept := len(got) - 3; uint64(kept)+w.Dropped() != lines || !strings.Contains(got[kept], fmt.Sprintf("n=%d ", kept-1)) {
			t.Errorf("%d kept and %d dropped of %d, the last kept is %.80q", kept, w.Dropped(), lines, got[kept])
		}
	})
}

// Close does not wait for a reader longer than its context.
func TestCloseOfALogThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(0)
		log, w := OpenLog(p, config.LogJSON, slog.LevelInfo)
		log.Info("nobody reads this")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		log.Info("too late")
		p.set(plenty, false)
		synctest.Wait() // and the goroutine ends, or the bubble would not
		if got := p.String(); !strings.Contains(got, "nobody reads this") || strings.Contains(got, "too late") {
			t.Errorf("got %q", got)
		}
	})
}

// A closed pipe loses the lines and nothing else; if it works again, the notice follows.
func TestLogThatBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(plenty)
		p.set(plenty, true)
		log, w := OpenLog(p, config.LogText, slog.LevelInfo)
		for range 3 {
			log.Info("lost")
			synctest.Wait()
		}
		if n := w.Dropped(); n != 3 {
			t.Errorf("%d lines were dropped", n)
		}
		p.set(plenty, false)
		log.Info("lost too, since it comes before the notice")
		synctest.Wait()
		log.Info("here")
		synctest.Wait()
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := p.String(); strings.Contains(got, "lost") || !strings.Contains(got, "lines=4\n") || !strings.HasSuffix(got, "here\n") {
			t.Errorf("got %q", got)
		}
		p.set(plenty, true)
		log.Info("after the end") // neither panics nor waits
	})
}

// The notice has the format of the log.
func TestNoticeOfDroppedLines(t *testing.T) {
	for format, want := range map[config.LogFormat]string{
		config.LogJSON: `"level":"WARN","msg":"log lines were dropped, because nobody took them in time","lines":7}` + "\n",
		config.LogText: "WARN  log lines were dropped, because nobody took them in time lines=7\n",
		config.LogAuto: `level=WARN msg="log lines were dropped, because nobody took them in time" lines=7` + "\n",
	} {
		_, w := OpenLog(newPipe(plenty), format, slog.LevelError)
		if got := string(w.notice(7)); !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q", format, got)
		}
		_ = w.Close(t.Context())
	}
}

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
