package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// A chart is one figure against N, on logarithmic axes: servers differ by
// orders of magnitude, and what is linear is a straight line.
type chart struct {
	label  string
	series []series
}

type series struct {
	name   string
	color  string
	points [][2]float64 // ascending
}

const (
	chartWidth, chartHeight            = 330.0, 260.0
	leftEdge, rightEdge, top, lowerEnd = 56.0, 318.0, 50.0, 210.0
)

// drawing writes charts side by side as one SVG.
func drawing(title string, charts []chart) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="11">`+"\n",
		chartWidth*float64(len(charts)), chartHeight+20)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="12" y="18" font-size="13" font-weight="bold">%s</text>`+"\n", escape(title))
	for i, c := range charts {
		fmt.Fprintf(&b, `<g transform="translate(%.0f 20)">`+"\n", chartWidth*float64(i))
		c.draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (c chart) draw(b *bytes.Buffer) {
	x, y := c.axes()
	fmt.Fprintf(b, `<text x="%.0f" y="20">%s</text>`+"\n", leftEdge, escape(c.label))
	for _, t := range x.ticks() {
		at := x.place(t)
		fmt.Fprintf(b, `<path d="M%.1f %.0fV%.0f" stroke="#e4e4e4"/><text x="%.1f" y="%.0f" text-anchor="middle" fill="#555">%s</text>`+"\n",
			at, top, lowerEnd, at, lowerEnd+16, short(t))
	}
	for _, t := range y.ticks() {
		at := y.place(t)
		fmt.Fprintf(b, `<path d="M%.0f %.1fH%.0f" stroke="#e4e4e4"/><text x="%.0f" y="%.1f" text-anchor="end" fill="#555">%s</text>`+"\n",
			leftEdge, at, rightEdge, leftEdge-6, at+4, short(t))
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="middle" fill="#555">N</text>`+"\n", (leftEdge+rightEdge)/2, lowerEnd+32)
	legend := leftEdge
	for _, s := range c.series {
		var line []string
		for _, p := range s.points {
			px, py := x.place(p[0]), y.place(p[1])
			line = append(line, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, px, py, s.color)
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, strings.Join(line, " "), s.color)
		fmt.Fprintf(b, `<circle cx="%.0f" cy="36" r="4" fill="%s"/><text x="%.0f" y="40">%s</text>`+"\n", legend+4, s.color, legend+12, escape(s.name))
		legend += 30 + 6.5*float64(len(s.name))
	}
}

// axes spans what the series have.
func (c chart) axes() (x, y axis) {
	x = axis{math.Inf(1), math.Inf(-1), leftEdge, rightEdge}
	y = axis{math.Inf(1), math.Inf(-1), lowerEnd, top}
	for _, s := range c.series {
		for _, p := range s.points {
			x.include(p[0])
			y.include(p[1])
		}
	}
	x.widen(1.15)
	y.widen(1.3)
	return x, y
}

// An axis is logarithmic, from low at from to high at to.
type axis struct{ low, high, from, to float64 }

// least stands for zero, which has no logarithm.
const least = 0.01

func (a *axis) include(v float64) {
	v = max(v, least)
	a.low, a.high = min(a.low, v), max(a.high, v)
}

func (a *axis) widen(factor float64) { a.low, a.high = a.low/factor, a.high*factor }

func (a axis) place(v float64) float64 {
	share := math.Log(max(v, least)/a.low) / math.Log(a.high/a.low)
	return a.from + share*(a.to-a.from)
}

// ticks are 1, 2 and 5 in each decade, less if that is too much and more if it
// is too little.
func (a axis) ticks() []float64 {
	steps := []float64{1, 2, 5}
	switch span := a.high / a.low; {
	case span > 500:
		steps = []float64{1}
	case span < 8:
		steps = []float64{1, 1.5, 2, 3, 4, 5, 7}
	}
	var out []float64
	for decade := math.Pow(10, math.Floor(math.Log10(a.low))); decade <= a.high; decade *= 10 {
		for _, s := range steps {
			if v := s * decade; v >= a.low && v <= a.high {
				out = append(out, v)
			}
		}
	}
	return out
}

// short writes 20000 as 20k.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", round(v/1e6))
	case v >= 1e3:
		return fmt.Sprintf("%gk", round(v/1e3))
	}
	return fmt.Sprintf("%g", round(v))
}

// round takes away what powers of ten leave behind.
func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }

func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}
