package observe

import (
	"regexp"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// other is the label value of everything outside the known set.
const other = "other"

// labelled has the series of a metric by their label values, which " " joins. They are
// made at start: an event costs a map look-up, a series shows 0 before its first event,
// and their number cannot grow.
type labelled[T any] map[string]T

// newLabelled makes a series for other and for each of the known label values.
func newLabelled[T any](known []string, series func(...string) T) labelled[T] {
	l := labelled[T]{}
	for _, values := range append(known, other) {
		l[values] = series(strings.Fields(values)...)
	}
	return l
}

// of is the series of a label value.
func (l labelled[T]) of(value string) T {
	if one, ok := l[value]; ok {
		return one
	}
	return l[other]
}

// eventsCounter counts events by name. Names that are not known are other.
func eventsCounter(f promauto.Factory, name, help string, events []string) labelled[prometheus.Counter] {
	vec := f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"event"})
	return newLabelled(events, vec.WithLabelValues)
}

// flushHistogram has one series for each kind of flush.
func flushHistogram(f promauto.Factory, name, help string, buckets []float64) labelled[prometheus.Observer] {
	vec := f.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"kind"})
	return newLabelled([]string{"list", "changes", "rosters"}, vec.WithLabelValues)
}

// sessionsGauge has one series for each transport and Engine.IO version, such as
// "polling 4".
func sessionsGauge(f promauto.Factory) labelled[prometheus.Gauge] {
	vec := f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "rollcall_sessions",
		Help: "Sessions that are open now, by transport and Engine.IO protocol version.",
	}, []string{"transport", "protocol"})
	return newLabelled([]string{"polling 3", "polling 4", "websocket 3", "websocket 4"}, func(values ...string) prometheus.Gauge {
		return vec.WithLabelValues(values[0], values[len(values)-1]) // other is the value of both
	})
}

// boundedCounter adds series for new label values up to a limit: each package has
// reasons of its own for refusals.
type boundedCounter struct {
	vec   *prometheus.CounterVec
	limit int
	mu    sync.Mutex // guards known
	known labelled[prometheus.Counter]
}

func newBoundedCounter(f promauto.Factory, opts prometheus.CounterOpts, label string, limit int) *boundedCounter {
	vec := f.NewCounterVec(opts, []string{label})
	return &boundedCounter{vec: vec, limit: limit, known: newLabelled(nil, vec.WithLabelValues)}
}

// plain matches codes such as rate_limited.
var plain = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)

func (b *boundedCounter) inc(value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.known[value]; !ok && len(b.known) < b.limit && plain.MatchString(value) {
		b.known[value] = b.vec.WithLabelValues(value)
	}
	b.known.of(value).Inc()
}

// watch publishes a number, read at each scrape: as a counter if the name ends in
// _total, else as a gauge.
func (m *Metrics) watch(name, help string, value func() float64) {
	opts := prometheus.Opts{Name: name, Help: help}
	if strings.HasSuffix(name, "_total") {
		m.make.NewCounterFunc(prometheus.CounterOpts(opts), value)
	} else {
		m.make.NewGaugeFunc(prometheus.GaugeOpts(opts), value)
	}
}
