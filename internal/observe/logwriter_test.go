package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
