// Bench measures Rollcall against what it replaces: the Node presence service
// in bench/node, and, for memory, the bare server in bench/echo. It starts each
// server anew for every run, one after the other, and is itself all of their
// clients. `make bench` builds everything and runs it.
//
// What lives here: rows (rows.go and a file for each kind of work), the load
// (client.go, scan.go, crowd.go), what is measured (target.go, sample.go) and
// how it is shown (table.go, svg.go). What may not: anything that changes a
// server, and any assertion that a test run would wait for.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	programs programs
	rows     string
	rounds   int
	quick    bool
	out      string
}

func main() {
	var o options
	flag.StringVar(&o.programs.rollcall, "rollcall", "bin/rollcall", "the Rollcall binary")
	flag.StringVar(&o.programs.echo, "echo", "bin/bench/echo", "the bare server's binary")
	flag.StringVar(&o.programs.nodeDir, "node", "bench/node", "the Node service, installed")
	flag.StringVar(&o.programs.redis, "redis", "redis-server", "the Redis server")
	flag.StringVar(&o.rows, "rows", "", "rows to run, comma-separated; default all")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each run is made")
	flag.BoolVar(&o.quick, "quick", false, "one round at the smallest size, to see that everything runs")
	flag.StringVar(&o.out, "out", "", "where results.md and the plots go; default nowhere")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and writes the table to out, progress to log.
func run(ctx context.Context, o options, out, log io.Writer) error {
	all := rows(o.programs, connectionLimit(), o.quick)
	chosen, err := choose(all, o.rows)
	if err != nil {
		return err
	}
	if o.quick {
		o.rounds = 1
		smallest(chosen)
	}
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return err
		}
	}
	runs, failures, err := measure(ctx, o, chosen, log)
	if err != nil {
		return err
	}
	var report bytes.Buffer
	fmt.Fprintf(&report, "Medians of %d rounds. %s\n", o.rounds, machine())
	for _, r := range chosen {
		got := results{}
		for p, samples := range runs[r.name] {
			got[p] = medians(samples)
		}
		writeTable(&report, r, got)
		if o.out != "" && len(r.plots) > 0 {
			path := filepath.Join(o.out, r.name+".svg")
			failures = append(failures, os.WriteFile(path, drawing(r.title, charts(r, got)), 0o644))
		}
	}
	for _, err := range failures {
		if err != nil {
			fmt.Fprintf(&report, "\nNot measured: %v\n", err)
		}
	}
	out.Write(report.Bytes())
	if o.out != "" {
		failures = append(failures, os.WriteFile(filepath.Join(o.out, "results.md"),
			append([]byte("# Results of `make bench`\n\n"), report.Bytes()...), 0o644))
	}
	return errors.Join(failures...)
}

// measure makes all runs, round by round, and returns the samples of each row and
// what failed. Its error is that ctx has ended.
func measure(ctx context.Context, o options, chosen []row, log io.Writer) (map[string]map[point][]sample, []error, error) {
	var failures []error
	runs := map[string]map[point][]sample{}
	for round := range o.rounds {
		for _, r := range chosen {
			if runs[r.name] == nil {
				runs[r.name] = map[point][]sample{}
			}
			for _, p := range points(r) {
				began := time.Now()
				s, err := once(ctx, o.programs, r, p)
				if ctx.Err() != nil {
					return nil, nil, ctx.Err()
				}
				if err != nil {
					failures = append(failures, fmt.Errorf("%s, %s, N=%d: %w", r.name, p.kind, p.n, err))
					fmt.Fprintln(log, failures[len(failures)-1])
					continue
				}
				runs[r.name][p] = append(runs[r.name][p], s)
				fmt.Fprintf(log, "round %d: %s, %s, N=%d: %.1f s\n", round+1, r.name, p.kind, p.n, time.Since(began).Seconds())
			}
		}
	}
	return runs, failures, nil
}

// once starts the servers of a run, makes the run and ends them.
func once(ctx context.Context, p programs, r row, at point) (sample, error) {
	var t *target
	var err error
	if r.instances > 0 {
		t, err = p.startCluster(ctx, r.instances)
	} else {
		t, err = p.start(ctx, at.kind)
	}
	if err != nil {
		return nil, err
	}
	defer t.stop()
	runtime.GC() // what the last run left is not this one's
	return r.run(ctx, t, at.n)
}

// points are a row's runs: the servers take turns.
func points(r row) (out []point) {
	for _, n := range allSizes(r) {
		for _, k := range kinds {
			if slices.Contains(r.sizes[k], n) {
				out = append(out, point{k, n})
			}
		}
	}
	return out
}

func choose(all []row, names string) ([]row, error) {
	if names == "" {
		return all, nil
	}
	var chosen []row
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(r row) bool { return r.name == name })
		if i < 0 {
			var known []string
			for _, r := range all {
				known = append(known, r.name)
			}
			return nil, fmt.Errorf("there is no row %q; there are %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// smallest leaves each row one size for each server.
func smallest(rows []row) {
	for _, r := range rows {
		for k, sizes := range r.sizes {
			r.sizes[k] = sizes[:1]
		}
	}
}

var colors = map[kind]string{rollcall: "#0a7d5a", node: "#c2410c", bare: "#6b7280"}

// charts are a row's plots.
func charts(r row, got results) (out []chart) {
	for _, m := range r.plots {
		c := chart{label: label(m)}
		for _, k := range kinds {
			s := series{name: string(k), color: colors[k]}
			for _, n := range r.sizes[k] {
				if v, ok := got[point{k, n}][m]; ok {
					s.points = append(s.points, [2]float64{float64(n), v})
				}
			}
			if len(s.points) > 0 {
				c.series = append(c.series, s)
			}
		}
		if len(c.series) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// connectionLimit raises the limit of open files as far as it goes, for this
// process and its children, and returns how many connections that allows.
func connectionLimit() int {
	const others = 200 // files that are no connection
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 1000
	}
	if more := (syscall.Rlimit{Cur: 65536, Max: 65536}); files.Max < more.Max && syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
		files = more
	} else {
		files.Cur = files.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
	}
	return int(min(files.Cur, 65536)) - others
}

// machine says what the figures were measured on.
func machine() string {
	nodeVersion, _ := exec.Command("node", "--version").Output()
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%d cores, %s/%s, %s, Node %s; load average at the end %s, the benchmark's own included.",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), strings.TrimSpace(string(nodeVersion)), first)
}
