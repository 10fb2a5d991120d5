package main

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
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

func TestHistogram(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 500 * time.Millisecond}, {0.99, 990 * time.Millisecond}, {1, time.Second}, {0.001, time.Millisecond}} {
		if got := h.quantile(c.q); got < c.want || float64(got) > 1.07*float64(c.want) {
			t.Errorf("quantile %g is %v, want %v to 7 %% more", c.q, got, c.want)
		}
	}
	if h.count() != 1000 {
		t.Errorf("%d counted of 1000", h.count())
	}
}

// Every duration lies in the one bucket that ends at or after it.
func TestBuckets(t *testing.T) {
	for d := time.Duration(0); d < time.Hour; d += 1 + d/97 {
		i := bucketOf(d)
		if d > bucketEnd(i) || i > 0 && d <= bucketEnd(i-1) {
			t.Fatalf("%v is in bucket %d, from %v to %v", d, i, bucketEnd(i-1), bucketEnd(i))
		}
	}
}

func TestMedians(t *testing.T) {
	got := medians([]sample{
		{wallTime: 9, cpuUsed: 1},
		{wallTime: 5},
		{wallTime: 7, cpuUsed: 2},
	})
	if got[wallTime] != 7 || got[cpuUsed] != 1.5 || len(got) != 2 {
		t.Errorf("medians are %v", got)
	}
}

func TestTable(t *testing.T) {
	r := row{
		name: "r", title: "T",
		sizes: map[kind][]int{rollcall: {10, 20}, node: {10}},
		aims:  []aim{{wallTime, 10, 0.5, node, 10}, {wallTime, 20, 0.5, node, 10}, {cpuUsed, 20, 3, "", 0}},
	}
	var out bytes.Buffer
	writeTable(&out, r, results{
		{rollcall, 10}: {wallTime: 4},
		{node, 10}:     {wallTime: 16},
		{rollcall, 20}: {wallTime: 12, cpuUsed: 2},
	})
	for _, want := range []string{
		"| 10 | wall time, ms | 4.00 | 16.0 |  | 0.25 | ≤ 0.5 of Node (is 0.25): yes |",
		"| 20 | wall time, ms | 12.0 |  |  |  | ≤ 0.5 of Node at 10 (is 0.75): **no** |",
		"| 20 | server CPU, ms | 2.00 |  |  |  | ≤ 3.00: yes |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

// Every metric that a row plots or aims at is in the table.
func TestRowsAreShown(t *testing.T) {
	for _, r := range rows(programs{}, 20_000, false) {
		for _, m := range r.plots {
			if !slices.Contains(shown, m) {
				t.Errorf("%s plots %s, which the table does not show", r.name, m.name)
			}
		}
		for _, a := range r.aims {
			if !slices.Contains(r.sizes[rollcall], a.n) || a.of != "" && !slices.Contains(r.sizes[a.of], a.againstN) {
				t.Errorf("%s aims at %s for N=%d, which is not run", r.name, a.metric.name, a.n)
			}
		}
	}
}

func TestDrawing(t *testing.T) {
	out := drawing("A < B & C", []chart{
		{"time, ms", []series{{"one", "#111", [][2]float64{{100, 0}, {1000, 50}}}, {"two", "#222", [][2]float64{{100, 7}}}}},
		{"flat", []series{{"one", "#111", [][2]float64{{5, 3}, {5, 3}}}}},
	})
	text := ""
	for d := xml.NewDecoder(bytes.NewReader(out)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if chars, ok := token.(xml.CharData); ok {
			text += string(chars)
		}
	}
	if !strings.Contains(text, "A < B & C") {
		t.Error("the title is not there")
	}
	if bytes.Contains(out, []byte("NaN")) || bytes.Contains(out, []byte("Inf")) {
		t.Errorf("a place without a number:\n%s", out)
	}
	if n := bytes.Count(out, []byte("<polyline")); n != 3 {
		t.Errorf("%d lines for 3 series", n)
	}
}

func TestAxis(t *testing.T) {
	a := axis{1, 100, 0, 200}
	for v, want := range map[float64]float64{1: 0, 10: 100, 100: 200} {
		if got := a.place(v); got < want-0.001 || got > want+0.001 {
			t.Errorf("%g is placed at %g, want %g", v, got, want)
		}
	}
	if got := a.ticks(); !slices.Equal(got, []float64{1, 2, 5, 10, 20, 50, 100}) {
		t.Errorf("ticks are %v", got)
	}
	narrow := axis{12, 40, 0, 200}
	if got := narrow.ticks(); !slices.Equal(got, []float64{15, 20, 30, 40}) {
		t.Errorf("ticks of a narrow axis are %v", got)
	}
	for v, want := range map[float64]string{20_000: "20k", 0.2: "0.2", 1e6: "1M", 500: "500"} {
		if got := short(v); got != want {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	all := rows(programs{}, 20_000, false)
	got, err := choose(all, "churn,storm")
	if err != nil || len(got) != 2 || got[0].name != "churn" {
		t.Errorf("chosen: %v, %v", got, err)
	}
	if _, err := choose(all, "stom"); err == nil || !strings.Contains(err.Error(), "reconnect") {
		t.Errorf("an unknown row: %v", err)
	}
}
