package observe

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	m := NewMetrics([]string{"register", "sync"}, itself, []string{"add_user", "online_users"})
	m.ConnectionOpened()
	m.ConnectionOpened()
	m.ConnectionClosed()
	m.SessionOpened("polling", "4")
	m.SessionUpgraded("4")
	m.SessionOpened("websocket", "3")
	m.SessionClosed("websocket", "3")
	m.SessionOpened("carrier pigeon", "4")
	m.Presence(7, 9)
	m.EventIn("register")
	m.EventIn("register")
	m.EventIn("no such event")
	m.Sent("add_user", 5)
	m.Sent("add_user", 2)
	m.Sent("no such event", 4)
	m.Out(3, 250)
	m.Pause("changes", 700*time.Millisecond)
	m.WatchQueues(func() (all, most int) { return 1300, 900 }, 5000)
	m.WatchInbound(func() int64 { return 70 }, 80)
	m.Flush("list", 3*time.Millisecond)
	m.Flush("no such kind", time.Second)
	m.Refusal("rate_limited")
	m.Refusal("\nnot a code\n")
	m.SlowDisconnect()
	m.WatchStore(func() StoreStats {
		return StoreStats{
			LeaseAge: 1500 * time.Millisecond, Lag: 2, Queued: 3, Drift: 4, Repairs: 5, Calls: 6, Errors: 7, CallTime: 8 * time.Second,
			Published: 9, Received: 10, Refused: 11, Dropped: 12, Differences: 13, Foreign: 14,
		}
	})

	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	got := rec.Body.String()
	for _, line := range []string{
		"rollcall_connections 1",
		`rollcall_sessions{protocol="4",transport="polling"} 0`,
		`rollcall_sessions{protocol="4",transport="websocket"} 1`,
		`rollcall_sessions{protocol="3",transport="websocket"} 0`,
		`rollcall_sessions{protocol="other",transport="other"} 1`,
		"rollcall_users 7",
		"rollcall_entries 9",
		`rollcall_events_in_total{event="register"} 2`,
		`rollcall_events_in_total{event="sync"} 0`,
		`rollcall_events_in_total{event="other"} 1`,
		`rollcall_events_out_total{event="add_user"} 7`,
		`rollcall_events_out_total{event="online_users"} 0`,
		`rollcall_events_out_total{event="other"} 4`,
		`rollcall_flush_pause_seconds_bucket{kind="changes",le="0.512"} 0`,
		`rollcall_flush_pause_seconds_bucket{kind="changes",le="1.024"} 1`,
		`rollcall_flush_pause_seconds_count{kind="list"} 0`,
		"rollcall_queue_bytes 1300",
		"rollcall_queue_limit_bytes 5000",
		"rollcall_inbound_bytes 70",
		"rollcall_inbound_limit_bytes 80",
		"rollcall_queue_largest_bytes 900",
		"rollcall_frames_out_total 3",
		"rollcall_bytes_out_total 250",
		`rollcall_flush_seconds_count{kind="list"} 1`,
		`rollcall_flush_seconds_bucket{kind="list",le="0.0016"} 0`,
		`rollcall_flush_seconds_bucket{kind="list",le="0.0032"} 1`,
		`rollcall_flush_seconds_count{kind="other"} 1`,
		`rollcall_refusals_total{reason="rate_limited"} 1`,
		`rollcall_refusals_total{reason="other"} 1`,
		"rollcall_slow_disconnects_total 1",
		"rollcall_lease_age_seconds 1.5", "rollcall_stream_lag 2", "rollcall_store_queued 3", "rollcall_drift_entries 4",
		"rollcall_repairs_total 5", "rollcall_differences_total 13", "rollcall_redis_refused_total 14",
		"rollcall_redis_calls_total 6", "rollcall_redis_errors_total 7", "rollcall_redis_call_seconds_total 8",
		"rollcall_messages_published_total 9", "rollcall_messages_received_total 10",
		"rollcall_messages_refused_total 11", "rollcall_messages_dropped_total 12",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	for _, name := range []string{"go_goroutines ", "process_open_fds ", "rollcall_build_info{"} {
		if !strings.Contains(got, "\n"+name) {
			t.Errorf("missing: %s", name)
		}
	}
}

// Names and help texts keep to Prometheus' conventions.
func TestMetricsLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "rollcall_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// The number of series is bounded, whatever the label values.
func TestSeriesAreBounded(t *testing.T) {
	m := NewMetrics([]string{"register"}, itself, []string{"add_user"})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 1000 {
				name := fmt.Sprintf("x%d_%d", i, j)
				m.EventIn(name)
				m.Refusal(name)
				m.Flush(name, 0)
				m.Pause(name, 0)
				m.Sent(name, 1)
				m.SessionOpened(name, name)
			}
		})
	}
	wg.Wait()
	for name, limit := range map[string]int{
		"rollcall_events_in_total": 2, "rollcall_events_out_total": 2, "rollcall_refusals_total": 64, "rollcall_sessions": 5,
		"rollcall_flush_seconds": 4, "rollcall_flush_pause_seconds": 4,
	} {
		if n, err := testutil.GatherAndCount(m.registry, name); err != nil || n != limit {
			t.Errorf("%s has %d series (%v), want %d", name, n, err, limit)
		}
	}
}

// everything has all metrics of an instance.
func everything() *Metrics {
	m := NewMetrics([]string{"register"}, itself, []string{"add_user"})
	m.WatchQueues(func() (all, most int) { return 0, 0 }, 0)
	m.WatchInbound(func() int64 { return 0 }, 0)
	m.WatchGrace(func() uint64 { return 0 })
	m.WatchLog(func() uint64 { return 0 })
	m.WatchStore(func() StoreStats { return StoreStats{} })
	return m
}

// itself returns the event as its kind.
func itself(event string) string { return event }

var metricName = regexp.MustCompile(`\b(?:rollcall|go|process)_[a-z_]+`)

// published are the names of an instance's metrics with Redis, including the parts of
// histograms.
func published(t *testing.T) (names, families map[string]bool) {
	t.Helper()
	gathered, err := everything().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names, families = map[string]bool{}, map[string]bool{}
	for _, f := range gathered {
		families[f.GetName()], names[f.GetName()] = true, true
		if f.GetType().String() == "HISTOGRAM" {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				names[f.GetName()+part] = true
			}
		}
	}
	return names, families
}

func unknown(text string, names map[string]bool) (out []string) {
	for _, name := range metricName.FindAllString(text, -1) {
		if !names[name] {
			out = append(out, name)
		}
	}
	return out
}

// Every documented metric exists, and every metric is documented.
func TestDocumentedMetrics(t *testing.T) {
	names, families := published(t)
	reference := document(t, "reference/metrics.md")
	for _, path := range []string{"reference/metrics.md", "reference/limits.md", "how-to/monitor.md", "explanation/security.md"} {
		text := strings.ReplaceAll(document(t, path), "`rollcall_error`", "") // an event
		if wrong := unknown(text, names); wrong != nil {
			t.Errorf("%s names what there is not: %v", path, wrong)
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "rollcall_") && !strings.Contains(reference, "`"+name+"`") {
			t.Errorf("metrics.md does not explain %s", name)
		}
	}
	if unknown("rate(rollcall_nothing_total[5m])", names) == nil {
		t.Error("a name that is not there is not noticed")
	}
}

func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDashboardMetrics(t *testing.T) {
	names, _ := published(t)
	file, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(file, &dashboard); err != nil || len(dashboard.Panels) == 0 {
		t.Fatalf("%d panels, %v", len(dashboard.Panels), err)
	}
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			if metricName.FindString(target.Expr) == "" || unknown(target.Expr, names) != nil {
				t.Errorf("%s: %s has no metric, or an unknown one: %v", p.Title, target.Expr, unknown(target.Expr, names))
			}
		}
	}
}
