package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// patience bounds every wait that has no bound of its own; a passing test never
// needs it.
const patience = time.Minute

// binary is the program under test.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if _, err := exec.LookPath("redis-server"); err != nil {
		fmt.Fprintln(os.Stderr, "These tests need redis-server in the PATH: install Debian's package redis-server.")
		return 1
	}
	path, remove, err := program.Rollcall(raceDetector()) // it has it if these tests have it
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	binary = path
	return m.Run()
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
