package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
)

// A point is one server at one size.
type point struct {
	kind kind
	n    int
}

// results are the medians of a row.
type results map[point]sample

// shown are all figures, in the order of the table.
var shown = []metric{
	wallTime, cpuUsed, cpuPerChange, cpuPerMessage, delivered, coreShare, listRate, p50, p99, seenShare,
	seenAlone[0], seenAlone[1], seenAfterMessage[0], seenAfterMessage[1], seenAfterChange[0], seenAfterChange[1],
	memoryEach, peakEach, peakMemory, bytesSent, minimumRatio, redisCPU, redisBytes,
	firstAnswer, programSize, memoryAtRest, loadsCPU,
}

// writeTable writes one row's part of the table, in Markdown.
func writeTable(w io.Writer, r row, got results) {
	fmt.Fprintf(w, "\n**%s** (`%s`)\n\n| N | | Rollcall | Node | bare gorilla | Rollcall/Node | aim |\n|--:|---|--:|--:|--:|--:|---|\n", r.title, r.name)
	for _, n := range allSizes(r) {
		for _, m := range shown {
			if !has(got, n, m) {
				continue
			}
			fmt.Fprintf(w, "| %d | %s |", n, label(m))
			for _, k := range kinds {
				fmt.Fprintf(w, " %s |", figure(got, point{k, n}, m))
			}
			fmt.Fprintf(w, " %s | %s |\n", ratio(got, n, m), verdicts(r, got, n, m))
		}
	}
}

func label(m metric) string {
	if m.unit == "" {
		return m.name
	}
	return m.name + ", " + m.unit
}

func has(got results, n int, m metric) bool {
	for _, k := range kinds {
		if _, ok := got[point{k, n}][m]; ok {
			return true
		}
	}
	return false
}

func figure(got results, p point, m metric) string {
	v, ok := got[p][m]
	if !ok {
		return ""
	}
	return number3(v)
}

// number3 writes three digits, without an exponent.
func number3(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1 || v == 0:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

func ratio(got results, n int, m metric) string {
	ours, ok1 := got[point{rollcall, n}][m]
	theirs, ok2 := got[point{node, n}][m]
	if !ok1 || !ok2 || theirs == 0 {
		return ""
	}
	return number3(ours / theirs)
}

// verdicts says of each aim at this figure whether it is reached.
func verdicts(r row, got results, n int, m metric) (text string) {
	for _, a := range r.aims {
		value, ok := a.value(got)
		if a.n != n || a.metric != m || !ok {
			continue
		}
		if text != "" {
			text += "; "
		}
		if a.of == "" {
			text += "≤ " + number3(a.atMost)
		} else {
			text += fmt.Sprintf("≤ %s of %s", number3(a.atMost), a.of)
			if a.againstN != n {
				text += fmt.Sprintf(" at %d", a.againstN)
			}
			text += fmt.Sprintf(" (is %s)", number3(value))
		}
		if value <= a.atMost {
			text += ": yes"
		} else {
			text += ": **no**"
		}
	}
	return text
}

// value is what has to be at most aim.atMost.
func (a aim) value(got results) (float64, bool) {
	ours, ok := got[point{rollcall, a.n}][a.metric]
	if a.of == "" {
		return ours, ok
	}
	theirs, there := got[point{a.of, a.againstN}][a.metric]
	return ours / theirs, ok && there && theirs > 0
}

// allSizes are a row's sizes, ascending.
func allSizes(r row) []int {
	var sizes []int
	for _, s := range r.sizes {
		sizes = append(sizes, s...)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}
