package observe

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// other is the label value of everything outside the known set.
const other = "other"

func gauge(r prometheus.Registerer, name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	r.MustRegister(g)
	return g
}

func counter(r prometheus.Registerer, name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	r.MustRegister(c)
	return c
}

// The series of labelled metrics are made at start: an event costs a map look-up, a
// series shows 0 before its first event, and their number cannot grow.
type (
	labelledCounter   map[string]prometheus.Counter
	labelledHistogram map[string]prometheus.Observer
	labelledGauge     map[[2]string]prometheus.Gauge
)

func (l labelledCounter) of(value string) prometheus.Counter {
	if c, ok := l[value]; ok {
		return c
	}
	return l[other]
}

func (l labelledHistogram) of(value string) prometheus.Observer {
	if h, ok := l[value]; ok {
		return h
	}
	return l[other]
}

func (l labelledGauge) of(a, b string) prometheus.Gauge {
	if g, ok := l[[2]string{a, b}]; ok {
		return g
	}
	return l[[2]string{other, other}]
}

// eventsCounter counts events by name. Names that are not known are other.
func eventsCounter(r prometheus.Registerer, name, help string, events []string) labelledCounter {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"event"})
	r.MustRegister(vec)
	known := labelledCounter{other: vec.WithLabelValues(other)}
	for _, e := range events {
		known[e] = vec.WithLabelValues(e)
	}
	return known
}

// flushHistogram has one series for each kind of flush.
func flushHistogram(r prometheus.Registerer, name, help string, buckets []float64) labelledHistogram {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"kind"})
	r.MustRegister(vec)
	known := labelledHistogram{}
	for _, kind := range []string{"list", "changes", "rosters", other} {
		known[kind] = vec.WithLabelValues(kind)
	}
	return known
}

func sessionsGauge(r prometheus.Registerer) labelledGauge {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rollcall_sessions",
		Help: "Sessions that are open now, by transport and Engine.IO protocol version.",
	}, []string{"transport", "protocol"})
	r.MustRegister(vec)
	known := labelledGauge{{other, other}: vec.WithLabelValues(other, other)}
	for _, transport := range []string{"polling", "websocket"} {
		for _, protocol := range []string{"3", "4"} {
			known[[2]string{transport, protocol}] = vec.WithLabelValues(transport, protocol)
		}
	}
	return known
}

// boundedCounter adds series for new label values up to a limit: each package has
// reasons of its own for refusals.
type boundedCounter struct {
	vec   *prometheus.CounterVec
	limit int
	// mu guards known.
	mu    sync.RWMutex
	known labelledCounter
}

func newBoundedCounter(r prometheus.Registerer, opts prometheus.CounterOpts, label string, limit int) *boundedCounter {
	vec := prometheus.NewCounterVec(opts, []string{label})
	r.MustRegister(vec)
	return &boundedCounter{vec: vec, limit: limit, known: labelledCounter{other: vec.WithLabelValues(other)}}
}

func (b *boundedCounter) inc(value string) {
	b.mu.RLock()
	c, ok := b.known[value]
	b.mu.RUnlock()
	if !ok {
		c = b.learn(value)
	}
	c.Inc()
}

func (b *boundedCounter) learn(value string) prometheus.Counter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.known[value]; !ok && len(b.known) < b.limit && plain(value) {
		b.known[value] = b.vec.WithLabelValues(value)
	}
	return b.known.of(value)
}

// plain reports whether value has the form of a code such as rate_limited.
func plain(value string) bool {
	for i := range len(value) {
		if c := value[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return value != "" && len(value) <= 40
}
