package observe

import (
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics has every metric of the program. Its methods are safe for concurrent use and
// count unknown label values as "other", so that a client cannot make new series.
type Metrics struct {
	registry *prometheus.Registry
	make     promauto.Factory // makes metrics in registry
	kind     func(event string) string

	connections, users, entries          prometheus.Gauge
	framesOut, bytesOut, slowDisconnects prometheus.Counter
	sessions                             labelled[prometheus.Gauge]
	eventsIn, eventsOut                  labelled[prometheus.Counter]
	flushes, pauses                      labelled[prometheus.Observer]
	refusals                             *boundedCounter
}

// NewMetrics makes the metrics in a new registry. in are the kinds of events from
// clients, and kind returns that of an event; out are the kinds of events to clients.
func NewMetrics(in []string, kind func(event string) string, out []string) *Metrics {
	r := prometheus.NewRegistry()
	f := promauto.With(r)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &Metrics{
		registry: r,
		make:     f,
		kind:     kind,
		connections: gauge("rollcall_connections",
			"Client connections that are open now."),
		sessions: sessionsGauge(f),
		users: gauge("rollcall_users",
			"Users that are online now; one with several sockets counts once."),
		entries: gauge("rollcall_entries",
			"Registered sockets in the shared map now."),
		eventsIn: eventsCounter(f, "rollcall_events_in_total",
			"Events received from clients, by name; names the server does not know are other.", in),
		eventsOut: eventsCounter(f, "rollcall_events_out_total",
			"Events queued to clients, one for each that gets it, by name; those that others emit are other. Answers are not counted.", out),
		framesOut: counter("rollcall_frames_out_total",
			"Runs of frames written to clients; one run may carry many events."),
		bytesOut: counter("rollcall_bytes_out_total",
			"Bytes written to clients, before TLS and HTTP headers."),
		// 100 µs to 3.3 s, each twice the one before.
		flushes: flushHistogram(f, "rollcall_flush_seconds",
			"What one flush to the sockets took, the fan-out: encoding, queueing and the first write.",
			prometheus.ExponentialBuckets(0.0001, 2, 16)),
		// 1 ms to 1.024 s, and the longest pause is 1 s.
		pauses: flushHistogram(f, "rollcall_flush_pause_seconds",
			"How long the next flush of a kind has to wait after one, which grows with what that one cost.",
			prometheus.ExponentialBuckets(0.001, 2, 11)),
		refusals: newBoundedCounter(f, prometheus.CounterOpts{
			Name: "rollcall_refusals_total",
			Help: "What clients asked for and was refused, by reason.",
		}, "reason", 64),
		slowDisconnects: counter("rollcall_slow_disconnects_total",
			"Sockets disconnected because they did not take what was queued for them."),
	}
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
	)
	return m
}

// Handler serves /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

func (m *Metrics) ConnectionOpened() { m.connections.Inc() }
func (m *Metrics) ConnectionClosed() { m.connections.Dec() }

// SessionOpened counts a new session. The transport is "polling" or "websocket", the
// protocol the Engine.IO version, "3" or "4".
func (m *Metrics) SessionOpened(transport, protocol string) {
	m.sessions.of(transport + " " + protocol).Inc()
}

// SessionClosed counts the end of a session, with the labels of SessionOpened.
func (m *Metrics) SessionClosed(transport, protocol string) {
	m.sessions.of(transport + " " + protocol).Dec()
}

// SessionUpgraded moves a session from polling to WebSocket.
func (m *Metrics) SessionUpgraded(protocol string) {
	m.SessionClosed("polling", protocol)
	m.SessionOpened("websocket", protocol)
}

func (m *Metrics) Presence(users, entries int) {
	m.users.Set(float64(users))
	m.entries.Set(float64(entries))
}

func (m *Metrics) EventIn(event string) { m.eventsIn.of(m.kind(event)).Inc() }

// Sent counts one event to a number of sockets.
func (m *Metrics) Sent(kind string, sockets int) { m.eventsOut.of(kind).Add(float64(sockets)) }

// Out counts frames and bytes that were written to clients.
func (m *Metrics) Out(frames, bytes int) {
	m.framesOut.Add(float64(frames))
	m.bytesOut.Add(float64(bytes))
}

// Flush records what one flush cost. The kind is "list", "changes" or "rosters".
func (m *Metrics) Flush(kind string, d time.Duration) { m.flushes.of(kind).Observe(d.Seconds()) }

// Pause records how long the next flush of a kind has to wait.
func (m *Metrics) Pause(kind string, d time.Duration) { m.pauses.of(kind).Observe(d.Seconds()) }

// WatchLog publishes how many lines of the log were dropped, read at each scrape.
func (m *Metrics) WatchLog(dropped func() uint64) {
	m.watch("rollcall_log_lines_dropped_total",
		"Lines of the log that nobody took in time; one line in the log says so as soon as it goes on.",
		func() float64 { return float64(dropped()) })
}

// WatchGrace publishes how many entries were not kept for GRACE, read at each scrape.
func (m *Metrics) WatchGrace(unheld func() uint64) {
	m.watch("rollcall_grace_exceeded_total",
		"Entries of closed sockets that were removed at once, since 100,000 were held for GRACE already.",
		func() float64 { return float64(unheld()) })
}

// WatchQueues publishes how many bytes are queued for all clients and in the longest
// queue, read at each scrape.
func (m *Metrics) WatchQueues(queued func() (all, most int), limit int64) {
	m.watch("rollcall_queue_limit_bytes",
		"How many bytes may wait to be sent to all clients together; over it those for whom most wait are disconnected.",
		func() float64 { return float64(limit) })
	m.registry.MustRegister(&queues{
		queued: queued,
		all: prometheus.NewDesc("rollcall_queue_bytes",
			"Bytes that wait to be sent to clients now; what many wait for counts once.", nil, nil),
		most: prometheus.NewDesc("rollcall_queue_largest_bytes",
			"Bytes that wait for the client for whom most wait; over MAX_QUEUE it is disconnected.", nil, nil),
	})
}

// WatchInbound publishes how many bytes are being received from all clients, read at
// each scrape, and their bound.
func (m *Metrics) WatchInbound(used func() int64, limit int64) {
	m.watch("rollcall_inbound_bytes", "Bytes of bodies and long messages that are being received now.",
		func() float64 { return float64(used()) })
	m.watch("rollcall_inbound_limit_bytes", "How many those may be; at the bound a body waits and is then refused.",
		func() float64 { return float64(limit) })
}

// queues reads both numbers with one call. It is a prometheus.Collector.
type queues struct {
	queued    func() (all, most int)
	all, most *prometheus.Desc
}

func (q *queues) Describe(out chan<- *prometheus.Desc) { out <- q.all; out <- q.most }

func (q *queues) Collect(out chan<- prometheus.Metric) {
	all, most := q.queued()
	out <- prometheus.MustNewConstMetric(q.all, prometheus.GaugeValue, float64(all))
	out <- prometheus.MustNewConstMetric(q.most, prometheus.GaugeValue, float64(most))
}

func (m *Metrics) Refusal(code string) { m.refusals.inc(code) }

func (m *Metrics) SlowDisconnect() { m.slowDisconnects.Inc() }

// buildInfo is the constant 1 with what this program was built from.
func buildInfo() prometheus.Collector {
	version, revision, goVersion := "unknown", "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version, goVersion = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "rollcall_build_info",
		Help:        "Always 1; the labels say what the program was built from.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": goVersion},
	}, func() float64 { return 1 })
}

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
		m.watch(one.name, one.help, func() float64 { return one.value(stats()) })
	}
}

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
