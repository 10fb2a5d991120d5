package observe

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

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
