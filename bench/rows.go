package main

import (
	"context"
	"slices"
	"time"
)

// A runner makes one run against servers that were just started.
type runner func(ctx context.Context, t *target, n int) (sample, error)

// A row is one kind of work, measured at several sizes.
type row struct {
	name, title string
	run         runner
	sizes       map[kind][]int
	instances   int // of Rollcall, on one Redis; 0: one without
	plots       []metric
	aims        []aim
}

// An aim is how small a figure of Rollcall is meant to be at one size: at most
// so much, or so much of another server's at a size of its own.
type aim struct {
	metric   metric
	n        int
	atMost   float64
	of       kind // "": absolute
	againstN int
}

// rows are all of them. limit bounds how many connections there can be; quick
// is for trying the benchmark itself.
func rows(p programs, limit int, quick bool) []row {
	churnTime := 6 * time.Second
	if quick {
		churnTime = 2 * time.Second
	}
	return slices.Concat(presenceRows(churnTime), connectionRows(p, min(20_000, limit)), clusterRows(churnTime))
}

// presenceRows are of one server's fan-out.
func presenceRows(churnTime time.Duration) []row {
	return []row{{
		name: "storm", title: "Join storm: all register at once, all see all",
		run:   storm(""),
		sizes: map[kind][]int{rollcall: {100, 400, 1000}, node: {100, 400}},
		plots: []metric{wallTime, cpuUsed, bytesSent},
		aims: []aim{
			{wallTime, 400, 1. / 50, node, 400},
			{wallTime, 1000, 1. / 10, node, 400},
		},
	}, {
		name: "changes", title: "Join storm, presence=changes",
		run:   storm("changes"),
		sizes: map[kind][]int{rollcall: {500, 1000, 2000}},
		plots: []metric{wallTime, cpuUsed, minimumRatio},
		aims:  []aim{{wallTime, 2000, 2000, "", 0}, {minimumRatio, 2000, 1.5, "", 0}},
	}, {
		name: "churn", title: "Steady churn: 20 joins and 20 leaves a second, N watchers",
		run:   churn("", 20, churnTime),
		sizes: map[kind][]int{rollcall: {100, 300, 1000}, node: {100, 300}},
		plots: []metric{cpuPerChange, p50, p99},
		aims:  []aim{{cpuPerChange, 300, 1. / 10, node, 300}, {p99, 300, 1. / 4, node, 300}},
	}, {
		name: "increments", title: "The same churn, presence=changes",
		run:   churn("changes", 20, churnTime),
		sizes: map[kind][]int{rollcall: {100, 300, 1000, 2000}},
		plots: []metric{cpuPerChange, p50, p99},
	}, {
		name: "broadcast", title: "One event to N sockets, 100 in a row",
		run:   broadcast,
		sizes: map[kind][]int{rollcall: {500, 1000, 2000}, node: {500, 1000, 2000}},
		plots: []metric{cpuPerMessage, wallTime},
		aims:  []aim{{cpuPerMessage, 2000, 1. / 3, node, 2000}},
	}, {
		name: "ticks", title: "One event to N sockets, 40 a second, each by itself",
		run:   ticks(churnTime / 2),
		sizes: map[kind][]int{rollcall: {300, 2000}, node: {300, 2000}, bare: {300, 2000}},
		plots: []metric{cpuPerMessage},
	}, {
		name: "renames", title: "One user changes 100 times in a row, N watchers",
		run:   renames,
		sizes: map[kind][]int{rollcall: {500, 1000, 2000}},
		plots: []metric{cpuPerMessage, delivered, wallTime},
	}, {
		name: "chat", title: "A change of presence right after a chat message to N members",
		run:   chat(40),
		sizes: map[kind][]int{rollcall: {500, 2000}},
	}, {
		name: "growth", title: "N sockets, 100 users, one changes 20 times a second",
		run:   growth(churnTime),
		sizes: map[kind][]int{rollcall: {1000, 3000, 10_000}},
		plots: []metric{coreShare, listRate, peakMemory},
	}}
}

// connectionRows are of what connections cost; many is the most of them.
func connectionRows(p programs, many int) []row {
	return []row{{
		name: "idle", title: "Idle connections",
		run:   idle,
		sizes: map[kind][]int{rollcall: {1000, 5000, many}, node: {1000, 5000, many}, bare: {1000, 5000, many}},
		plots: []metric{memoryEach, peakEach},
		aims: []aim{
			{memoryEach, 5000, 1, node, 5000},
			{memoryEach, 5000, 1, bare, 5000},
			{memoryEach, many, 1, node, many},
			{memoryEach, many, 1, bare, many},
		},
	}, {
		name: "reconnect", title: "Reconnect storm: N sockets, 100 of them users, dropped and back",
		run:   reconnect,
		sizes: map[kind][]int{rollcall: {500, 1000, 2000}, node: {500, 1000, 2000}},
		plots: []metric{wallTime, cpuUsed, bytesSent},
		aims:  []aim{{wallTime, 2000, 1. / 3, node, 2000}},
	}, {
		name: "start", title: "Start-up, size, memory at rest",
		run:   p.startup,
		sizes: map[kind][]int{rollcall: {0}, node: {0}},
		aims:  []aim{{firstAnswer, 0, 100, "", 0}, {programSize, 0, 20, "", 0}, {memoryAtRest, 0, 15, "", 0}},
	}}
}

// clusterRows are of three instances on one Redis.
func clusterRows(churnTime time.Duration) []row {
	return []row{{
		name: "cluster-storm", title: "Join storm on three instances and one Redis",
		run:   storm(""),
		sizes: map[kind][]int{rollcall: {300, 1000}}, instances: 3,
		plots: []metric{wallTime, redisCPU, redisBytes},
	}, {
		name: "cluster-churn", title: "50 joins and 50 leaves a second, three instances, presence=changes",
		run:   churn("changes", 50, churnTime),
		sizes: map[kind][]int{rollcall: {300, 1000}}, instances: 3,
		plots: []metric{p99, redisCPU, redisBytes},
		aims:  []aim{{p99, 1000, 20, "", 0}},
	}}
}

// kinds are the servers in the order of the table.
var kinds = []kind{rollcall, node, bare}
