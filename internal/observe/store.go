package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// StoreStats is what a shared store publishes about itself. The counters only
// rise.
type StoreStats struct {
	LeaseAge      time.Duration // since the lease was renewed
	Lag           int           // announcements not read yet
	Queued        int           // own changes that the store has not confirmed
	Drift         int           // entries without an owner, or unlike their sockets
	Repairs       uint64        // how often everything had to be compared
	Differences   uint64        // how often another instance had other entries
	Foreign       uint64        // values in the store that were left out
	Calls, Errors uint64        // calls to the store, and those that failed
	CallTime      time.Duration // how long all of them took
	// Messages between instances: sent, taken, not understood, not sent.
	Published, Received, Refused, Dropped uint64
}

// WatchStore publishes a shared store's numbers, read at each scrape.
func (m *Metrics) WatchStore(stats func() StoreStats) {
	number := func(name, help string, kind func(prometheus.Opts, func() float64) prometheus.Collector, value func(StoreStats) float64) {
		m.registry.MustRegister(kind(prometheus.Opts{Name: name, Help: help}, func() float64 { return value(stats()) }))
	}
	gauge := func(o prometheus.Opts, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts(o), f)
	}
	counter := func(o prometheus.Opts, f func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts(o), f)
	}
	number("rollcall_lease_age_seconds", "Time since this instance renewed its lease; over 3 others take it for dead.", gauge,
		func(s StoreStats) float64 { return s.LeaseAge.Seconds() })
	number("rollcall_stream_lag", "Changes of other instances that this one has not read yet.", gauge,
		func(s StoreStats) float64 { return float64(s.Lag) })
	number("rollcall_store_queued", "Changes of this instance that Redis has not confirmed.", gauge,
		func(s StoreStats) float64 { return float64(s.Queued) })
	number("rollcall_drift_entries", "Entries in Redis whose owner is unknown, or that differ from this instance's sockets. Should be 0.", gauge,
		func(s StoreStats) float64 { return float64(s.Drift) })
	number("rollcall_repairs_total", "How often this instance compared everything with Redis and put it right.", counter,
		func(s StoreStats) float64 { return float64(s.Repairs) })
	number("rollcall_differences_total", "How often this instance had other entries than another one at the same moment, which was put right. Should be 0.", counter,
		func(s StoreStats) float64 { return float64(s.Differences) })
	number("rollcall_redis_refused_total", "Values and announcements in Redis that are not Rollcall's own and were left out.", counter,
		func(s StoreStats) float64 { return float64(s.Foreign) })
	number("rollcall_redis_calls_total", "Calls to Redis.", counter,
		func(s StoreStats) float64 { return float64(s.Calls) })
	number("rollcall_redis_errors_total", "Calls to Redis that failed.", counter,
		func(s StoreStats) float64 { return float64(s.Errors) })
	number("rollcall_redis_call_seconds_total", "Time spent in calls to Redis; by rollcall_redis_calls_total it is the mean latency.", counter,
		func(s StoreStats) float64 { return s.CallTime.Seconds() })
	number("rollcall_messages_published_total", "Messages sent to other instances.", counter,
		func(s StoreStats) float64 { return float64(s.Published) })
	number("rollcall_messages_received_total", "Messages taken from other instances and emitters.", counter,
		func(s StoreStats) float64 { return float64(s.Received) })
	number("rollcall_messages_refused_total", "Messages from elsewhere that could not be brought to clients.", counter,
		func(s StoreStats) float64 { return float64(s.Refused) })
	number("rollcall_messages_dropped_total", "Messages that could not be sent to other instances.", counter,
		func(s StoreStats) float64 { return float64(s.Dropped) })
}
