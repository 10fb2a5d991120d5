package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// frame is a server's text frame.
func frame(payload string) []byte {
	b := []byte{0x81}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// The messages are the same however the stream is cut, and whether or not the
// middle of a payload is skipped.
func TestScanner(t *testing.T) {
	var stream []byte
	var sent []string
	for _, size := range []int{0, 1, 2, headSize - 1, headSize, headSize + 1, 125, 126, 127,
		tailSize, tailSize + 1, tailSize + headSize, 1000, 65535, 65536, 200_000, 0, 3} {
		var text strings.Builder
		for i := 0; text.Len() < size; i++ {
			fmt.Fprintf(&text, "%d,", i)
		}
		payload := text.String()[:size]
		sent = append(sent, payload)
		stream = append(stream, frame(payload)...)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, chunk := range []int{1, 2, 7, 64, 4096, len(stream)} {
		for _, skipping := range []bool{false, true} {
			var s scanner
			got := 0
			check := func(m message) {
				want := sent[got]
				got++
				if m.size != len(want) || string(m.head) != want[:min(len(want), headSize)] ||
					string(m.tail) != want[max(0, len(want)-tailSize):] {
					t.Fatalf("chunks of %d: message %d of %d bytes came as %d bytes, %q … %q",
						chunk, got-1, len(want), m.size, m.head, m.tail)
				}
			}
			for rest := stream; len(rest) > 0; {
				n := min(1+random.IntN(chunk), len(rest))
				if can := s.skippable(); skipping && can > 0 {
					n = min(n, can)
					s.skip(n)
				} else {
					s.feed(rest[:n], check)
				}
				rest = rest[n:]
			}
			if got != len(sent) {
				t.Errorf("chunks of %d: %d messages came of %d", chunk, got, len(sent))
			}
		}
	}
}

func TestWhatMessagesTell(t *testing.T) {
	list := func(ids ...int) string {
		var users [][]byte
		for _, id := range ids {
			users = append(users, user(id, id%3))
		}
		return fmt.Sprintf(`42["online_users",[%s]]`, bytes.Join(users, []byte(",")))
	}
	for _, c := range []struct {
		text                string
		users, last, firsts int // -1: not told
	}{
		{list(), 0, -1, -1},
		{list(7), 1, 7, 7},
		{list(12, 1_234_567, 34), 3, 34, 12},
		{fmt.Sprintf(`42["add_user",%s]`, user(56, 0)), -1, 56, -1},
		{fmt.Sprintf(`42["remove_user",%s,{"reason":"closed"}]`, user(56, 0)), -1, -1, -1},
		{`40{"sid":"x"}`, -1, -1, -1},
	} {
		var s scanner
		s.feed(frame(c.text), func(m message) {
			if got := usersIn(m); got != c.users {
				t.Errorf("%.60s: %d users, want %d", c.text, got, c.users)
			}
			last, ok := joined(m)
			if !ok {
				last = -1
			}
			if last != c.last {
				t.Errorf("%.60s: last is %d, want %d", c.text, last, c.last)
			}
			if c.users > 0 && firstOf(m) != c.firsts {
				t.Errorf("%.60s: first is %d, want %d", c.text, firstOf(m), c.firsts)
			}
		})
	}
}

func TestUsersAreOfOneSize(t *testing.T) {
	for _, u := range [][]byte{user(1, 0), user(9_999_999, 100), user(123, 99)} {
		if len(u) != userSize {
			t.Errorf("%s has %d bytes, not %d", u, len(u), userSize)
		}
	}
}
