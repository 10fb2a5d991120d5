package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Rollcall is the program under test for a TestMain: what ROLLCALL_BIN names,
// else one that is built here, with the race detector or without. remove lets
// go of it.
func Rollcall(race bool) (path string, remove func(), err error) {
	if path = os.Getenv("ROLLCALL_BIN"); path != "" {
		return path, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "rollcall")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	path = filepath.Join(dir, "rollcall")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "rollcall")...).CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("the program does not build: %w\n%s", err, out)
	}
	return path, remove, nil
}
