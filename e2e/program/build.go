package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
)

// Binary is the program under test, once Main has found or built it.
var Binary string

// Main is a TestMain: it runs the tests against the program that ROLLCALL_BIN names,
// else one that is built here, with the race detector or without.
func Main(m *testing.M, race bool) {
	remove, err := build(race)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	remove()
	os.Exit(code)
}

func build(race bool) (remove func(), err error) {
	if Binary = os.Getenv("ROLLCALL_BIN"); Binary != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "rollcall")
	if err != nil {
		return nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	Binary = filepath.Join(dir, "rollcall")
	out, err := exec.Command("go", "build", fmt.Sprintf("-race=%t", race), "-o", Binary, "rollcall").CombinedOutput()
	if err != nil {
		remove()
		return nil, fmt.Errorf("the program does not build: %w\n%s", err, out)
	}
	return remove, nil
}

// HasRaceDetector reports whether the tests themselves are built with it.
func HasRaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
