package memory

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		name    string
		goLimit int64
		cgroup  uint64
		err     error
		want    Limit
		gc      int64
	}{
		{"Go's", 100 << 20, 200 << 20, nil, Limit{100 << 20, FromGo}, 100 << 20},
		{"the control group's", math.MaxInt64, 200_000_000, nil, Limit{200_000_000, FromContainer}, 180_000_000},
		{"none", math.MaxInt64, 0, errors.New("no control group"), Limit{assumed, Assumed}, 0},
		{"a control group without one", math.MaxInt64, math.MaxUint64, nil, Limit{assumed, Assumed}, 0},
		{"an old control group without one", math.MaxInt64, math.MaxInt64 &^ 4095, nil, Limit{assumed, Assumed}, 0},
	} {
		got := choose(c.goLimit, func() (uint64, error) { return c.cgroup, c.err })
		if got != c.want || got.Collector() != c.gc {
			t.Errorf("%s: %+v, the collector's %d; want %+v and %d", c.name, got, got.Collector(), c.want, c.gc)
		}
	}
	if Detect().Bytes <= 0 {
		t.Error("no limit")
	}
}

// Apply sets a container's limit, and leaves one that Go has.
func TestApply(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for _, l := range []Limit{{8 << 30, FromGo}, {8 << 30, Assumed}} {
		if l.Apply(); debug.SetMemoryLimit(-1) != before {
			t.Errorf("%s: the collector's limit was changed", l.Source)
		}
	}
	l := Limit{8 << 30, FromContainer}
	if l.Apply(); debug.SetMemoryLimit(-1) != l.Collector() {
		t.Errorf("the collector's limit is %d, want %d", debug.SetMemoryLimit(-1), l.Collector())
	}
}

func TestReadAll(t *testing.T) {
	for _, size := range []int{0, 1, firstStep - 1, firstStep, firstStep + 1, 100_000} {
		for _, expected := range []int64{-1, 0, 1, int64(size), 10 * int64(size)} {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "bytewise": iotest.OneByteReader, "EOF with data": iotest.DataErrReader,
			} {
				b := NewBudget(1 << 20)
				text := strings.Repeat("x", size)
				data, release, err := b.ReadAll(t.Context(), wrap(strings.NewReader(text)), expected)
				if err != nil || string(data) != text {
					t.Fatalf("%s, %d bytes, %d expected: %d, %v", name, size, expected, len(data), err)
				}
				if used := b.Used(); used != int64(cap(data)) {
					t.Errorf("%s, %d bytes, %d expected: %d are reserved, %d are held", name, size, expected, used, cap(data))
				}
				release()
				if b.Used() != 0 {
					t.Errorf("%s, %d bytes: %d are left", name, size, b.Used())
				}
			}
		}
	}
}

func TestReadAllGivesBackAfterAnError(t *testing.T) {
	b := NewBudget(1 << 20)
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(make([]byte, 50_000)), iotest.ErrReader(broken))
	if _, _, err := b.ReadAll(t.Context(), r, 100_000); err != broken || b.Used() != 0 {
		t.Errorf("%v, %d are left", err, b.Used())
	}
}

// A client that announces much and sends nothing reserves little.
func TestAnnouncedIsNotReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1 << 20)
		in, out := io.Pipe()
		go b.ReadAll(t.Context(), in, 1<<20)
		synctest.Wait()
		if b.Used() != firstStep {
			t.Errorf("%d are reserved", b.Used())
		}
		out.Close()
		synctest.Wait()
	})
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(14_000)
		in, out := io.Pipe()
		go func() {
			if _, release, err := b.ReadAll(t.Context(), in, 0); err == nil {
				release()
			}
		}()
		out.Write(make([]byte, firstStep-1))
		began := time.Now()
		_, _, err := b.ReadAll(t.Context(), bytes.NewReader(make([]byte, 9000)), 0)
		if err != ErrFull || time.Since(began) != reserveTimeout || b.Used() != firstStep {
			t.Errorf("%v after %s, %d are reserved", err, time.Since(began), b.Used())
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(reserveTimeout/2, cancel)
		began = time.Now()
		if _, _, err := b.ReadAll(ctx, bytes.NewReader(make([]byte, 9000)), 0); err != context.Canceled || time.Since(began) != reserveTimeout/2 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		// A body that waits is read when another one ends in time.
		time.AfterFunc(reserveTimeout/2, func() { out.Close() })
		if _, release, err := b.ReadAll(t.Context(), bytes.NewReader(make([]byte, 9000)), 9000); err != nil {
			t.Errorf("%v: it was to wait", err)
		} else {
			release()
		}
		// One that can never fit is refused too.
		if _, _, err := b.ReadAll(t.Context(), bytes.NewReader(make([]byte, 20_000)), 0); err != ErrFull {
			t.Errorf("%v", err)
		}
		synctest.Wait()
	})
}

// Concurrent readers hold no more than the budget together.
func TestConcurrentReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(64 << 10)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				for range 20 {
					_, release, err := b.ReadAll(t.Context(), iotest.HalfReader(bytes.NewReader(make([]byte, i*300))), int64(i%2*i*300))
					if used := b.Used(); used > b.Limit() {
						t.Errorf("%d are reserved", used)
					}
					if err == nil {
						time.Sleep(time.Millisecond)
						release()
					}
				}
			})
		}
		all.Wait()
		if b.Used() != 0 {
			t.Errorf("%d are left", b.Used())
		}
	})
}

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
