package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

// patience bounds every wait that has no bound of its own; a passing test never
// needs it.
const patience = 30 * time.Second

// binary is the program under test.
var binary = os.Getenv("ROLLCALL_BIN")

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if _, err := exec.LookPath("redis-server"); err != nil {
		fmt.Fprintln(os.Stderr, "These tests need redis-server in the PATH: install Debian's package redis-server.")
		return 1
	}
	if binary == "" {
		dir, err := os.MkdirTemp("", "rollcall-cluster")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "rollcall")
		if err := build(binary); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// build makes the program, with the race detector if these tests have it.
func build(to string) error {
	args := []string{"build", "-o", to}
	if raceDetector() {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "rollcall")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("the program does not build: %w\n%s", err, out)
	}
	return nil
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
