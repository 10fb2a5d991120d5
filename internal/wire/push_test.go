package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/rooms"
)

// numbered is an event of some size with a number in it.
func (d *domain) numbered(n, size int) rooms.Frames {
	filler := []byte(`"` + strings.Repeat("x", size) + `"`)
	return d.srv.Encode(rooms.Event{Name: "tick", Args: []json.RawMessage{[]byte(strconv.Itoa(n)), filler}})
}

// number reads the next such event.
func (c *client) number() (string, error) {
	got, err := c.next()
	if got, isTick := strings.CutPrefix(got, `42["tick",`); isTick {
		got, _, _ = strings.Cut(got, ",")
		return got, err
	}
	return "", fmt.Errorf("not a tick: %.40q, %w", got, err)
}

// What a socket does not take at once comes later, whole and in order with what
// is sent meanwhile: more than its buffers hold is pushed before it reads.
func TestPushOfMoreThanASocketTakes(t *testing.T) {
	d, base := start(t, Options{MaxQueue: 64 << 20})
	c := mustJoin(t, base, 4, "")
	const many, size = 30, 1 << 20 // loopback takes some 4 MB
	for n := range many {
		if n%2 == 0 {
			d.srv.Fanout([]rooms.Delivery{{Frames: d.numbered(n, size), To: d.conns()}})
		} else {
			d.conns()[0].Send(d.numbered(n, size))
		}
	}
	for n := range many {
		if got, err := c.number(); err != nil || got != strconv.Itoa(n) {
			t.Fatalf("event %d of %d: %s, %v", n, many, got, err)
		}
	}
	if all, _ := d.srv.Queued(); all != 0 {
		eventually(t, "the queue is empty", func() bool { all, _ := d.srv.Queued(); return all == 0 })
	}
}

// What is sent while a push writes leaves too: nobody else would take it along.
func TestSendDuringPush(t *testing.T) {
	d, base := start(t, Options{})
	c := mustJoin(t, base, 4, "")
	frames := d.numbered(1, 64<<10)
	for round := range 500 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.srv.Fanout([]rooms.Delivery{{Frames: frames, To: d.conns()}})
		}()
		time.Sleep(time.Duration(round%50) * time.Microsecond) // somewhere within it
		d.conns()[0].Send(d.numbered(2, 1))
		sum := 0
		for range 2 {
			got, err := c.number()
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

// Who is closed while a push writes gets it whole, and then the close frame.
func TestCloseDuringPush(t *testing.T) {
	d, base := start(t, Options{CloseTimeout: patience})
	frames := d.numbered(1, 256<<10)
	for round := range 100 {
		c := mustJoin(t, base, 4, "")
		conns := d.conns()
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.srv.Fanout([]rooms.Delivery{{Frames: frames, To: conns}})
		}()
		time.Sleep(time.Duration(round%50) * 4 * time.Microsecond)
		conns[0].Close(true)
		var closed *websocket.CloseError
		_, err := c.number()
		if err == nil {
			_, err = c.next()
		}
		if !errors.As(err, &closed) {
			t.Fatalf("round %d: %v", round, err)
		}
		<-done
		eventually(t, "it is gone", func() bool { return len(d.conns()) == 0 })
	}
}
