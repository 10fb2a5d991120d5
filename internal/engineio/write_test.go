package engineio

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// numbered is an event of some size with a number in it.
func numbered(n, size int) []byte {
	return AppendText(nil, fmt.Appendf(nil, `42["tick",%d,"%s"]`, n, strings.Repeat("x", size)))
}

// number reads the next such event.
func number(c *client) (string, error) {
	got, err := c.Next()
	if got, isTick := strings.CutPrefix(got, `42["tick",`); isTick {
		got, _, _ = strings.Cut(got, ",")
		return got, err
	}
	return "", fmt.Errorf("not a tick: %.40q, %w", got, err)
}

// What a socket does not take at once comes later, whole and in order, whatever
// is sent meanwhile: its buffers are filled before it reads.
func TestWriteOfMoreThanASocketTakes(t *testing.T) {
	d, base := start(t, Options{MaxQueue: 64 << 20})
	c := mustJoin(t, base, 4, "")
	const meanwhile = 300
	conns, pushes := d.conns(), 0
	for queued := 0; queued < 4<<20; queued, _ = d.srv.Queued() {
		var sending sync.WaitGroup
		sending.Go(func() {
			for n := range meanwhile {
				conns[0].Send(numbered(1000+n, 1))
			}
		})
		d.fanout(numbered(pushes, 1<<20), conns)
		sending.Wait()
		pushes++
	}
	next, small := 0, 0
	for range pushes * (1 + meanwhile) {
		got, err := number(c)
		n, _ := strconv.Atoi(got)
		switch {
		case err == nil && n == next:
			next++
		case err == nil && n == 1000+small%meanwhile:
			small++
		default:
			t.Fatalf("event %s after %d and %d: %v", got, next, small, err)
		}
	}
	eventually(t, "the queue is empty", func() bool { all, _ := d.srv.Queued(); return all == 0 })
}

// What is sent during a write leaves too: nobody else would take it along.
func TestSendDuringWrite(t *testing.T) {
	d, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	frames := numbered(1, 64<<10)
	for round := range 500 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.fanout(frames, d.conns())
		}()
		time.Sleep(time.Duration(round%50) * time.Microsecond) // somewhere within it
		d.conns()[0].Send(numbered(2, 1))
		sum := 0
		for range 2 {
			got, err := number(c)
			n, _ := strconv.Atoi(got)
			if sum += n; err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if <-done; sum != 3 {
			t.Fatalf("round %d: %d", round, sum)
		}
	}
}

// A client that is closed during a write gets it whole, and then the close frame.
func TestCloseDuringWrite(t *testing.T) {
	d, base := start(t, Options{CloseTimeout: patience})
	frames := numbered(1, 256<<10)
	for round := range 100 {
		c := mustJoin(t, base, 4, "")
		conns := d.conns()
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.fanout(frames, conns)
		}()
		time.Sleep(time.Duration(round%50) * 4 * time.Microsecond)
		conns[0].Close(true)
		var closed *websocket.CloseError
		_, err := number(c)
		if err == nil {
			_, err = c.Next()
		}
		if !errors.As(err, &closed) {
			t.Fatalf("round %d: %v", round, err)
		}
		<-done
		eventually(t, "it is gone", func() bool { return len(d.conns()) == 0 })
	}
}
