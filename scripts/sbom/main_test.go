package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestDocument(t *testing.T) {
	bundled, err := fromNPM([]byte(`{"packages":{"":{"version":"1"},"node_modules/a":{"version":"2.0.0"},"node_modules/a/node_modules/@x/b":{"version":"3.0.0"},"node_modules/tool":{"version":"4.0.0","dev":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(document(&debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "rollcall", Version: "v1.0.0+dirty"},
		Deps: []*debug.Module{
			{Path: "example.com/used", Version: "v1.2.3"},
			{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/new", Version: "v2.0.0"}},
			{Path: "example.com/stubbed", Version: "v1.0.0", Replace: &debug.Module{Path: "./internal/stubs/it", Version: "(devel)"}},
		},
	}, bundled))
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"pkg:golang/rollcall@v1.0.0%2Bdirty", "pkg:golang/stdlib@1.26.8", "pkg:golang/example.com/used@v1.2.3",
		"pkg:golang/example.com/new@v2.0.0", "pkg:npm/a@2.0.0", "pkg:npm/%40x/b@3.0.0",
	} {
		if !strings.Contains(string(got), `"purl":"`+url+`"`) {
			t.Errorf("no %s in %s", url, got)
		}
	}
	if strings.Contains(string(got), "example.com/old") {
		t.Error("what was replaced is in it")
	}
	if strings.Contains(string(got), "stub") {
		t.Error("a folder of our own is in it")
	}
}

// This test's own program is one to read; what is none is refused.
func TestRun(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "package-lock.json")
	if err := os.WriteFile(lock, []byte(`{"packages":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(self, lock, &out); err != nil || !strings.Contains(out.String(), `"bomFormat": "CycloneDX"`) {
		t.Errorf("%v: %s", err, &out)
	}
	if err := run(lock, lock, &out); err == nil {
		t.Error("a lock file was read as a program")
	}
	if err := run(self, self, &out); err == nil {
		t.Error("a program was read as a lock file")
	}
}
