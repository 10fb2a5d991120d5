package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The modules for WebTransport, which the Socket.IO library imports, are not built in:
// stubs replace them (internal/stubs).
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

// The linker leaves out methods that nothing calls, unless something reachable
// may ask reflect for any method; then the program is half as large again.
// protobuf before 1.36.12 did with Go 1.26.
func TestUnusedMethodsAreLeftOut(t *testing.T) {
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-dumpdep", "-o", filepath.Join(t.TempDir(), "rollcall"), ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v", err)
	}
	if !strings.Contains(string(out), "main.main -> main.run") {
		t.Fatal("the output of the linker has no edges any more")
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasSuffix(line, "<ReflectMethod>\n") {
			t.Errorf("every exported method is kept: %s", line)
		}
	}
}
