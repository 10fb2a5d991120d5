package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What the Socket.IO library would serve WebTransport with is not built in: of
// those modules there are only our stubs (internal/stubs), and what the real
// ones need is not there either.
func TestNoQUIC(t *testing.T) {
	const packages = `{{with .Module}}{{.Path}} {{with .Replace}}{{.Path}}{{end}}{{end}}`
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", packages, ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	stubs := map[string]string{
		"github.com/quic-go/quic-go":            "./internal/stubs/quic-go",
		"github.com/zishang520/webtransport-go": "./internal/stubs/webtransport-go",
	}
	met := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		module, by, _ := strings.Cut(strings.TrimSpace(line), " ")
		if stub, ok := stubs[module]; ok && by == stub {
			met[module] = true
		} else if strings.Contains(module, "quic") || strings.Contains(module, "webtransport") {
			t.Errorf("%s is built in, replaced by %q", module, by)
		}
	}
	// Without these the library has left WebTransport, and the stubs can go.
	for module := range stubs {
		if !met[module] {
			t.Errorf("nothing imports the stub of %s", module)
		}
	}
}
