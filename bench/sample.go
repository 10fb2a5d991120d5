package main

import (
	"slices"
)

// A metric is one figure of a sample. All are better when smaller.
type metric struct {
	name, unit string
}

var (
	wallTime   = metric{"wall time", "ms"}
	cpuUsed    = metric{"server CPU", "ms"}
	peakMemory = metric{"peak memory", "MB"}
	bytesSent  = metric{"sent", "MB"}
	// loadsCPU shows that it is the server that is measured.
	loadsCPU = metric{"generator CPU", "ms"}

	minimumRatio  = metric{"sent / minimum", "×"}
	cpuPerChange  = metric{"CPU a change", "µs"}
	cpuPerMessage = metric{"CPU a delivery", "µs"}
	delivered     = metric{"messages a client", ""}
	seenShare     = metric{"changes not seen", "%"}
	coreShare     = metric{"share of a core", "%"}
	listRate      = metric{"lists a client and second", ""}
	p50           = metric{"seen after, p50", "ms"}
	p99           = metric{"seen after, p99", "ms"}

	seenAlone        = seenAfter("nothing else")
	seenAfterMessage = seenAfter("a chat message")
	seenAfterChange  = seenAfter("another change")

	memoryEach   = metric{"memory a connection", "KB"}
	peakEach     = metric{"peak memory a connection", "KB"}
	redisCPU     = metric{"Redis CPU a change", "µs"}
	redisBytes   = metric{"Redis bytes a change", "B"}
	firstAnswer  = metric{"start-up to first answer", "ms"}
	programSize  = metric{"size of the program", "MB"}
	memoryAtRest = metric{"memory at rest", "MB"}
)

// seenAfter are p50 and p99 of how long a change took to be seen that was made
// right after something else.
func seenAfter(what string) [2]metric {
	return [2]metric{{"seen, after " + what + ", p50", "ms"}, {"seen, after " + what + ", p99", "ms"}}
}

// A sample is what one run of a row measured.
type sample map[metric]float64

// medians takes each metric's median over several runs.
func medians(runs []sample) sample {
	out := sample{}
	for _, run := range runs {
		for m := range run {
			if _, done := out[m]; done {
				continue
			}
			var values []float64
			for _, r := range runs {
				if v, ok := r[m]; ok {
					values = append(values, v)
				}
			}
			out[m] = median(values)
		}
	}
	return out
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
