package abuse

import (
	"fmt"
	"os"
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
	if port := os.Getenv(observedPort); port != "" {
		return observe(port)
	}
	path, remove, err := program.Rollcall(false) // memory and time are measured
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	binary = path
	return m.Run()
}
