package memory

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A body that stops, or is slower than a kilobyte in 5 s, fails after that time. One with
// progress may take the whole time.
func TestABodyHasToGoOn(t *testing.T) {
	for _, c := range []struct {
		name        string
		every       time.Duration
		bytes       int // each time
		times       int
		within, end time.Duration
		err         error
	}{
		{"nothing comes", 0, 0, 0, time.Minute, stallTime, os.ErrDeadlineExceeded},
		{"it stops", 0, 10_000, 1, time.Minute, stallTime, os.ErrDeadlineExceeded},
		{"a byte a second", time.Second, 1, 100, time.Minute, stallTime, os.ErrDeadlineExceeded},
		{"slow, and without an end", 4 * time.Second, stallBytes, 100, time.Minute, time.Minute, os.ErrDeadlineExceeded},
		{"slow, and in time", 4 * time.Second, stallBytes, 10, time.Minute, 40 * time.Second, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBudget(1 << 20)
				ours, theirs := net.Pipe()
				var sending sync.WaitGroup
				defer sending.Wait()
				defer ours.Close()
				sending.Go(func() {
					for range c.times {
						time.Sleep(c.every)
						if _, err := theirs.Write(make([]byte, c.bytes)); err != nil {
							return
						}
					}
					if c.err == nil {
						theirs.Close()
					}
				})
				began := time.Now()
				data, release, err := b.ReadWithin(context.Background(), ours, 0, c.within, ours.SetReadDeadline)
				if !errors.Is(err, c.err) || time.Since(began) != c.end {
					t.Errorf("%v after %s, want %v after %s", err, time.Since(began), c.err, c.end)
				}
				if err == nil {
					if len(data) != c.bytes*c.times {
						t.Errorf("%d bytes have come", len(data))
					}
					release()
				}
				if b.Used() != 0 {
					t.Errorf("%d bytes are held afterwards", b.Used())
				}
			})
		})
	}
}
