package engineio

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/stall"
)

// masked is a client's frame; its mask is 0.
func masked(op byte, payload string) []byte {
	b := []byte{op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

const (
	clientText = 0x81
	firstPart  = 0x01
	nextPart   = 0x00
	lastPart   = 0x80
	clientPing = 0x89
	clientPong = 0x8a
)

// However the bytes are cut, the frames that count are counted.
func TestTransportCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		frames []byte
		want   int
	}{
		{"messages", bytes.Repeat(masked(clientText, "42[]"), 10), 0},
		{"long messages", slicesOf(masked(clientText, strings.Repeat("x", 125)), masked(clientText, strings.Repeat("x", 126)), masked(clientText, strings.Repeat("\x8a", 70_000))), 0},
		{"pongs", bytes.Repeat(masked(clientPong, ""), 10), 10},
		{"pings with data", bytes.Repeat(masked(clientPing, strings.Repeat("x", 125)), 10), 10},
		{"unmasked pongs", bytes.Repeat([]byte{clientPong, 1, 'x'}, 10), 10},
		{"empty fragments", slicesOf(masked(firstPart, "4"), bytes.Repeat(masked(nextPart, ""), 10)), 10},
		{"short fragments", slicesOf(masked(firstPart, "4"), bytes.Repeat(masked(nextPart, strings.Repeat("x", 500)), 10), masked(lastPart, "")), 11},
		{"long fragments", slicesOf(masked(firstPart, "4"), bytes.Repeat(masked(nextPart, strings.Repeat("x", 1024)), 10), masked(lastPart, "")), 1},
		{"pongs between fragments", slicesOf(masked(firstPart, "4"), masked(clientPong, "abc"), masked(lastPart, "2[]"), masked(clientText, "4"), masked(clientPong, "")), 3},
		{"a length below zero", slicesOf([]byte{0x8a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}), 1},
	} {
		for _, step := range []int{1, 2, 3, 7, 512, 1 << 20} {
			m := &transport{conn: &Conn{srv: &Server{}}, limits: &limits{}}
			for at := 0; at < len(c.frames); at += step {
				if !m.observe(c.frames[at:min(at+step, len(c.frames))]) {
					t.Fatalf("%s: ended", c.name)
				}
			}
			count := m.limits.bytesSincePause / frameCost // too few for a pause
			if count != c.want {
				t.Errorf("%s in steps of %d: %d frames, want %d", c.name, step, count, c.want)
			}
		}
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// Frames over the rate are read at the rate, and then end the connection: no more
// than the burst, one each 50 ms for as many again, and the end a second later.
func TestTransportThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{PacketsPerSecond: 20, PacketsBurst: 40})
		ours, theirs := net.Pipe()
		c := f.srv.open(handshake{})
		m := &transport{Conn: stall.NewConn(ours, time.Hour), conn: c, limits: &limits{}} // a candidate
		go func() {
			for err := error(nil); err == nil; {
				_, err = theirs.Write(masked(clientPong, ""))
			}
		}()
		began := time.Now()
		n, err := io.Copy(io.Discard, m)
		took := time.Since(began)
		if err != errFlood || n/6 < 80 || n/6 > 130 || took < 3*time.Second || took > 10*time.Second {
			t.Errorf("%d frames in %s: %v", n/6, took, err)
		}
		ours.Close()
		c.CloseNow()
	})
}

// Floods of every frame that is no message end the session, as the transport; as
// a candidate they end the candidate.
func TestFloodsOfFrames(t *testing.T) {
	for name, c := range map[string]struct{ first, flood []byte }{
		"pings":            {nil, masked(clientPing, "")},
		"pongs":            {nil, masked(clientPong, "")},
		"empty fragments":  {masked(firstPart, "4"), masked(nextPart, "")},
		"short fragments":  {masked(firstPart, "4"), masked(nextPart, "x")},
		"empty, and pongs": {masked(firstPart, ""), append(masked(nextPart, ""), masked(clientPong, "")...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, base := start(t, Options{PacketsPerSecond: 100, PacketsBurst: 20})
			flood := append(c.first, bytes.Repeat(c.flood, 20_000)...)
			pour := func(conn net.Conn) {
				t.Helper()
				go io.Copy(io.Discard, conn)
				for end := time.Now().Add(patience); ; {
					conn.SetWriteDeadline(end)
					if _, err := conn.Write(flood); err != nil && time.Now().Before(end) {
						return
					}
					if !time.Now().Before(end) {
						t.Fatal("it goes on for ever")
					}
					flood = bytes.Repeat(c.flood, 20_000)
				}
			}
			pour(mustJoin(t, base, 4, "").Conn.NetConn())
			eventually(t, "the session has ended", func() bool { return len(d.conns()) == 0 })
			p := mustPoll(t, base, 4, "")
			conn := mustCandidate(t, p).Conn
			flood = append(c.first, bytes.Repeat(c.flood, 20_000)...)
			pour(conn.NetConn())
			if !p.Alive() {
				t.Error("a candidate has ended the session")
			}
		})
	}
}

// A message in many fragments that are not short is within the rate.
func TestFragmentsWithinTheRate(t *testing.T) {
	_, base := start(t, Options{PacketsPerSecond: 20, PacketsBurst: 40})
	c := mustJoin(t, base, 4, "")
	out := c.Conn.NetConn()
	for i := range 5 {
		out.Write(masked(firstPart, `42`+string(rune('0'+i))+`["marks","`))
		for range 60 {
			out.Write(masked(nextPart, strings.Repeat("x", 1024)))
		}
		out.Write(masked(lastPart, `"]`))
		if got, err := c.Next(); err != nil || !strings.Contains(got, `"ok":true`) {
			t.Fatalf("%.100q, %v", got, err)
		}
	}
}
