package observe

import (
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is every number the program publishes. Its methods are safe for
// concurrent use, take plain values, and turn what is not in a known set of
// label values into "other": a client cannot make new series.
type Metrics struct {
	registry *prometheus.Registry
	kind     func(event string) string

	connections     prometheus.Gauge
	sessions        labelledGauge
	users           prometheus.Gauge
	entries         prometheus.Gauge
	eventsIn        labelledCounter
	framesOut       prometheus.Counter
	bytesOut        prometheus.Counter
	flushes         labelledHistogram
	refusals        *boundedCounter
	slowDisconnects prometheus.Counter
}

// NewMetrics makes the metrics in a registry of their own. events are the
// kinds of events that clients may send, and kind tells which one an event is.
func NewMetrics(events []string, kind func(event string) string) *Metrics {
	r := prometheus.NewRegistry()
	m := &Metrics{
		registry: r,
		kind:     kind,
		connections: gauge(r, "rollcall_connections",
			"Client connections that are open now."),
		sessions: sessionsGauge(r),
		users: gauge(r, "rollcall_users",
			"Users that are online now; one with several sockets counts once."),
		entries: gauge(r, "rollcall_entries",
			"Registered sockets in the shared map now."),
		eventsIn: eventsCounter(r, events),
		framesOut: counter(r, "rollcall_frames_out_total",
			"Frames queued to clients."),
		bytesOut: counter(r, "rollcall_bytes_out_total",
			"Bytes queued to clients, before the transport's own framing."),
		flushes: flushHistogram(r),
		refusals: newBoundedCounter(r, prometheus.CounterOpts{
			Name: "rollcall_refusals_total",
			Help: "What clients asked for and was refused, by reason.",
		}, "reason", 64),
		slowDisconnects: counter(r, "rollcall_slow_disconnects_total",
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

// ConnectionOpened counts a client connection in.
func (m *Metrics) ConnectionOpened() { m.connections.Inc() }

// ConnectionClosed counts a client connection out.
func (m *Metrics) ConnectionClosed() { m.connections.Dec() }

// SessionOpened counts a session in. The transport is "polling" or
// "websocket", the protocol the Engine.IO version, "3" or "4".
func (m *Metrics) SessionOpened(transport, protocol string) {
	m.sessions.of(transport, protocol).Inc()
}

// SessionClosed counts a session out, with the values it was counted in by.
func (m *Metrics) SessionClosed(transport, protocol string) {
	m.sessions.of(transport, protocol).Dec()
}

// SessionUpgraded moves a session from polling to WebSocket.
func (m *Metrics) SessionUpgraded(protocol string) {
	m.SessionClosed("polling", protocol)
	m.SessionOpened("websocket", protocol)
}

// Presence sets how many users and entries there are now.
func (m *Metrics) Presence(users, entries int) {
	m.users.Set(float64(users))
	m.entries.Set(float64(entries))
}

// EventIn counts one event from a client.
func (m *Metrics) EventIn(event string) { m.eventsIn.of(m.kind(event)).Inc() }

// Out counts what was queued to clients.
func (m *Metrics) Out(frames, bytes int) {
	m.framesOut.Add(float64(frames))
	m.bytesOut.Add(float64(bytes))
}

// Flush records what one flush cost. The kind is "list" or "changes".
func (m *Metrics) Flush(kind string, took time.Duration) {
	m.flushes.of(kind).Observe(took.Seconds())
}

// Refusal counts a refusal by its code.
func (m *Metrics) Refusal(code string) { m.refusals.inc(code) }

// SlowDisconnect counts a socket that was disconnected as too slow.
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
