package abuse

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// Observers are well-behaved clients: registered, subscribed to changes, and
// sending within the rate limit. Their response times are what an attack costs
// others. They run in a process of their own, this binary started again
// with observedServer as the address of the server, and write a line for each answer.
const (
	observedServer   = "ROLLCALL_OBSERVED_SERVER"
	observers        = 24
	observerInterval = 70 * time.Millisecond // below 20 a second
)

// minSamples is how many response times make a measurement.
func minSamples() int {
	if testing.Short() {
		return 5 * observers
	}
	return 25 * observers
}

// priority is a command that starts a program with a higher priority than the
// attackers, which would have cores of their own elsewhere. Without the right to do
// that, nice says so and starts the program as it is.
var priority = []string{"nice", "-n", "-15"}

var elsewhere = flag.Bool("elsewhere", false, "the control: the observers are clients of a server that nobody attacks")

// observe is the program of the observers: it goes on until it is ended.
func observe(base string) int {
	var asking sync.WaitGroup
	for n := range observers {
		name := string(rune('a' + n))
		c, err := join(base, "presence=changes")
		if err == nil {
			err = c.Do("register", `{"id":"observer-`+name+`"}`)
		}
		if err != nil {
			fmt.Println("error:", err)
			return 1
		}
		asking.Go(func() {
			for range time.Tick(observerInterval) {
				began := time.Now()
				if err := c.Do("heartbeat", ""); err != nil {
					fmt.Println("error:", name, "got", err)
					return
				}
				fmt.Println(name, time.Since(began))
			}
		})
	}
	asking.Wait()
	return 1
}

// An observation reads what the observers write.
type observation struct {
	t      testing.TB
	log    *program.Log
	offset int // bytes of the log that were read
}

func (s *server) observe(t testing.TB) *observation {
	t.Helper()
	o := &observation{t: t, log: newLog()}
	program.Launch(t, o.log, []string{observedServer + "=" + s.URL("")}, priority[0], append(priority[1:], os.Args[0])...)
	o.allServed() // the first answers are slower: connections are made
	return o
}

// allServed waits until each observer has had an answer from now on.
func (o *observation) allServed() {
	o.t.Helper()
	o.offset = len(o.log.String())
	program.Eventually(o.t, patience, "all observers are answered", func() bool { _, served := o.read(); return served == observers })
	o.offset = len(o.log.String())
}

// read is the response times since the last sample, and how many different
// observers had one.
func (o *observation) read() (times []time.Duration, served int) {
	o.t.Helper()
	names := make(map[string]bool)
	for line := range strings.Lines(o.log.String()[o.offset:]) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		took, err := time.ParseDuration(text)
		switch {
		case name == "error:":
			o.t.Fatal("a well-behaved client: ", text)
		case err == nil: // else a line that is not complete yet
			times, names[name] = append(times, took), true
		}
	}
	return times, len(names)
}

// sample takes the times since the last one, sorted, when there are enough, and
// of every observer.
func (o *observation) sample() (times []time.Duration) {
	o.t.Helper()
	program.Eventually(o.t, patience, "observers have measured", func() bool {
		served := 0
		times, served = o.read()
		return served == observers && len(times) >= minSamples()
	})
	o.offset = len(o.log.String())
	slices.Sort(times)
	return times
}

// limits are how long an attack lasts, and what it may cost.
type limits struct {
	duration  time.Duration // a tenth of it with -short
	minCalls  int           // goes on until there were as many
	maxGrowth float64       // of the server's memory, at its peak, in MiB
}

// attack runs an attack while observers measure. It is called again and again,
// with the number of the call, until its time is over.
func (s *server) attack(t testing.TB, l limits, attack func(call int)) {
	t.Helper()
	if testing.Short() {
		l.duration /= 10
	}
	of := s
	if *elsewhere {
		of = serve(t)
	}
	o := of.observe(t)
	before := o.sample()
	memory := s.followMemory(t)
	calls := 0
	for began := time.Now(); (calls < l.minCalls || time.Since(began) < l.duration) && !t.Failed(); calls++ {
		attack(calls)
	}
	during := o.sample()
	rss, peak := memory()
	t.Logf("%d calls; p50 %s → %s, p99 %s → %s (%.1f times); resident %.0f MiB → %.0f MiB at most",
		calls, quantile(before, 50), quantile(during, 50), quantile(before, 99), quantile(during, 99),
		float64(quantile(during, 99))/float64(quantile(before, 99)), rss, peak)
	checkP99(t, before, during)
	if peak > rss+l.maxGrowth {
		t.Errorf("memory rose from %.0f to %.0f MiB, more than %.0f", rss, peak, l.maxGrowth)
	}
	o.allServed() // all are connected, and not refused
}

// checkP99 bounds the response times during an attack, given those before. Only a
// server in trouble breaks the bound: the numbers that count are printed. With
// -short the p99 is the second slowest answer.
func checkP99(t testing.TB, before, during []time.Duration) {
	t.Helper()
	worst := max(10*quantile(before, 99), time.Second)
	if testing.Short() {
		worst = max(worst, 5*time.Second)
	}
	if quantile(during, 99) > worst {
		t.Errorf("the p99 of others rose from %s to %s, more than %s", quantile(before, 99), quantile(during, 99), worst)
	}
}

// followMemory reads the server's resident memory, in MiB, until stop is called.
func (s *server) followMemory(t testing.TB) (stop func() (first, peak float64)) {
	t.Helper()
	first := s.metric(resident) / mib
	peak := first
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for open := true; open; {
			if got, err := s.Try("GET", "/metrics", ""); err != nil {
				t.Errorf("/metrics during an attack: %v", err)
			} else {
				peak = max(peak, valueOf(got.Body, resident)/mib)
			}
			select {
			case _, open = <-over:
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return func() (float64, float64) {
		close(over)
		<-ended
		return first, peak
	}
}

// quantile is one of sorted times, rounded for people.
func quantile(times []time.Duration, percent int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[len(times)*percent/100].Round(10 * time.Microsecond)
}
