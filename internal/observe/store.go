package observe

import (
	"strings"
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
	for _, one := range storeMetrics {
		value := func() float64 { return one.value(stats()) }
		opts := prometheus.Opts{Name: one.name, Help: one.help}
		if strings.HasSuffix(one.name, "_total") {
			m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts(opts), value))
		} else {
			m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts), value))
		}
	}
}

// storeMetrics are counters if their names end in _total, else gauges.
var storeMetrics = []struct {
	name, help string
	value      func(StoreStats) float64
}{
	{"rollcall_lease_age_seconds", "Time since this instance renewed its lease; over 3 others take it for dead.",
		func(s StoreStats) float64 { return s.LeaseAge.Seconds() }},
	{"rollcall_stream_lag", "Changes of other instances that this one has not read yet.",
		func(s StoreStats) float64 { return float64(s.Lag) }},
	{"rollcall_store_queued", "Changes of this instance that Redis has not confirmed.",
		func(s StoreStats) float64 { return float64(s.Queued) }},
	{"rollcall_drift_entries", "Entries in Redis whose owner is unknown, or that differ from this instance's sockets. Should be 0.",
		func(s StoreStats) float64 { return float64(s.Drift) }},
	{"rollcall_repairs_total", "How often this instance compared everything with Redis and put it right.",
		func(s StoreStats) float64 { return float64(s.Repairs) }},
	{"rollcall_differences_total", "How often this instance had other entries than another one at the same moment, which was put right. Should be 0.",
		func(s StoreStats) float64 { return float64(s.Differences) }},
	{"rollcall_redis_refused_total", "Values and announcements in Redis that are not Rollcall's own and were left out.",
		func(s StoreStats) float64 { return float64(s.Foreign) }},
	{"rollcall_redis_calls_total", "Calls to Redis.",
		func(s StoreStats) float64 { return float64(s.Calls) }},
	{"rollcall_redis_errors_total", "Calls to Redis that failed.",
		func(s StoreStats) float64 { return float64(s.Errors) }},
	{"rollcall_redis_call_seconds_total", "Time spent in calls to Redis; by rollcall_redis_calls_total it is the mean latency.",
		func(s StoreStats) float64 { return s.CallTime.Seconds() }},
	{"rollcall_messages_published_total", "Messages sent to other instances.",
		func(s StoreStats) float64 { return float64(s.Published) }},
	{"rollcall_messages_received_total", "Messages taken from other instances and emitters.",
		func(s StoreStats) float64 { return float64(s.Received) }},
	{"rollcall_messages_refused_total", "Messages from elsewhere that could not be brought to clients.",
		func(s StoreStats) float64 { return float64(s.Refused) }},
	{"rollcall_messages_dropped_total", "Messages that could not be sent to other instances.",
		func(s StoreStats) float64 { return float64(s.Dropped) }},
}
