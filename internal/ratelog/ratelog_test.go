package ratelog

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})), "text")
		for range 3 {
			w.Note(errors.New("a"))
		}
		time.Sleep(time.Minute)
		w.Note(errors.New("b"))
		w.Note(errors.New("c"))
		const want = "level=WARN msg=text error=a times=1\nlevel=WARN msg=text error=b times=3\n"
		if out.String() != want {
			t.Errorf("logged\n%swant\n%s", out.String(), want)
		}
	})
}
