package retry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	b := Backoff{First: 10 * time.Millisecond, Max: 30 * time.Millisecond}
	for round := range 2 {
		for i, want := range []time.Duration{10, 20, 30, 30} {
			if b.AtMax() != (i == 3) {
				t.Errorf("round %d, attempt %d: AtMax is %v", round, i, b.AtMax())
			}
			if got := b.Next(); got != want*time.Millisecond {
				t.Errorf("round %d, attempt %d: %v, want %v", round, i, got, want*time.Millisecond)
			}
		}
		b.Reset()
	}
}

func TestSleepEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		Sleep(ctx, time.Hour)
		(&Backoff{First: time.Hour, Max: time.Hour}).Wait(ctx)
		if took := time.Since(began); took != time.Second {
			t.Errorf("slept for %v, want 1s", took)
		}
	})
}
