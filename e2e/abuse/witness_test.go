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

// Witnesses are well-behaved clients: registered, following changes, and asking
// no faster than anybody may. What they feel is what an abuse does to others.
// They live in a process of their own, this binary started again with witnessOf
// as the port of the server, and write a line for each answer.
const (
	witnessOf    = "ROLLCALL_WITNESS_OF"
	aWitnessAsks = 70 * time.Millisecond // below 20 a second
	manyWitness  = 24
	manySamples  = 600
)

// first is a command that gives a process the cores before the attackers, who
// would have their own elsewhere. Without the right to it, nice says so and
// starts the program as it is.
var first = []string{"nice", "-n", "-15"}

// elsewhere is the control: what the attackers cost the machine, whatever they
// attack.
var elsewhere = flag.Bool("elsewhere", false, "the witnesses are clients of a server that nobody attacks")

// testify is the program of the witnesses: it goes on until it is ended.
func testify(port string) int {
	s := &server{port: port}
	var asking sync.WaitGroup
	for n := range manyWitness {
		name := string(rune('a' + n))
		c, err := s.join("presence=changes")
		if err == nil {
			_, err = c.ask("register", `{"id":"witness-`+name+`"}`)
		}
		if err != nil {
			fmt.Println("error:", err)
			return 1
		}
		asking.Go(func() {
			for range time.Tick(aWitnessAsks) {
				began := time.Now()
				r, err := c.ask("heartbeat", "")
				if err != nil || !r.OK {
					fmt.Println("error:", name, "got", r, err)
					return
				}
				fmt.Println(name, time.Since(began))
			}
		})
	}
	asking.Wait()
	return 1
}

// witnesses is what their process says.
type witnesses struct {
	t   testing.TB
	log *program.Log
	at  int // bytes of the log that were looked at
}

func (s *server) witness(t testing.TB) *witnesses {
	t.Helper()
	w := &witnesses{t: t, log: newLog()}
	program.Launch(t, w.log, []string{witnessOf + "=" + s.port}, first[0], append(first[1:], os.Args[0])...)
	w.hear() // the first answers are slower: connections are made
	return w
}

// hear waits until each has had an answer from now on.
func (w *witnesses) hear() {
	w.t.Helper()
	w.at = len(w.log.String())
	program.Eventually(w.t, patience, "all witnesses are answered", func() bool { _, names := w.said(); return names == manyWitness })
	w.at = len(w.log.String())
}

// said is how long the answers since the last sample took, and how many
// different witnesses had one.
func (w *witnesses) said() (times []time.Duration, names int) {
	w.t.Helper()
	said := make(map[string]bool)
	for line := range strings.Lines(w.log.String()[w.at:]) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		took, err := time.ParseDuration(text)
		switch {
		case name == "error:":
			w.t.Fatal("a well-behaved client: ", text)
		case err == nil: // else a line that is not complete yet
			times, said[name] = append(times, took), true
		}
	}
	return times, len(said)
}

// sample takes the times since the last one, sorted, when there are enough, and
// of every witness.
func (w *witnesses) sample() (times []time.Duration) {
	w.t.Helper()
	program.Eventually(w.t, patience, "witnesses have measured", func() bool {
		names := 0
		times, names = w.said()
		return names == manyWitness && len(times) >= manySamples
	})
	w.at = len(w.log.String())
	slices.Sort(times)
	return times
}

// Bounds so generous that only a server in trouble breaks them: the numbers
// that count are printed.
const (
	worstFactor = 10
	worstP99    = time.Second
)

// A toll is how long abuses last, and what they may cost.
type toll struct {
	lasts time.Duration
	// grows is by how many MiB the server's memory may have grown at its peak.
	grows float64
}

// endures runs an abuse while witnesses measure. The abuse is called again and
// again, with the number of the call, until its time is over.
func (s *server) endures(t testing.TB, cost toll, abuse func(n int)) {
	t.Helper()
	of := s
	if *elsewhere {
		of = serve(t)
	}
	w := of.witness(t)
	before := w.sample()
	scales := s.weigh(t)
	began := time.Now()
	calls := 0
	for time.Since(began) < cost.lasts && !t.Failed() {
		abuse(calls)
		calls++
	}
	during := w.sample()
	rss, peak := scales()
	t.Logf("%d calls; p50 %s → %s, p99 %s → %s (%.1f times); resident %.0f MiB → %.0f MiB at most",
		calls, quantile(before, 50), quantile(during, 50), quantile(before, 99), quantile(during, 99),
		float64(quantile(during, 99))/float64(quantile(before, 99)), rss, peak)
	if worst := max(worstFactor*quantile(before, 99), worstP99); quantile(during, 99) > worst {
		t.Errorf("the p99 of others rose from %s to %s, more than %s", quantile(before, 99), quantile(during, 99), worst)
	}
	if peak > rss+cost.grows {
		t.Errorf("memory rose from %.0f to %.0f MiB, more than %.0f", rss, peak, cost.grows)
	}
	w.hear() // all are alive, and not refused
}

// weigh follows the server's memory, in MiB resident, until it is read.
func (s *server) weigh(t testing.TB) (read func() (began, peak float64)) {
	t.Helper()
	began := s.metric(resident) / mib
	peak := began
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			if got, err := s.try("GET", "/metrics", ""); err != nil {
				t.Errorf("/metrics while others abuse: %v", err)
			} else {
				peak = max(peak, valueOf(got.body, resident)/mib)
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (float64, float64) {
		close(done)
		<-ended
		return began, peak
	}
}

// quantile is one of sorted times, rounded for people.
func quantile(times []time.Duration, percent int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[len(times)*percent/100].Round(10 * time.Microsecond)
}
