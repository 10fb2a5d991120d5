package locks

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The rest of this package counts lock acquisitions, in a build in which this
// module's mutexes are those of locktrace. This test makes that build and runs it:
// nothing that production runs is changed.
func TestLocks(t *testing.T) {
	if os.Getenv("LOCKS_WALK") != "" {
		t.Skip("this is that build")
	}
	args := []string{"test", "-count=1", "-v", "-run", "^TestWalk", "-overlay", overlay(t), "."}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "LOCKS_WALK=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// overlay writes this module's files with other mutexes, and returns the file that
// names them for go test.
func overlay(t *testing.T) string {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), make(map[string]string)
	for _, part := range []string{"rooms", "adapter", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(text, []byte("sync.Mutex")) && !bytes.Contains(text, []byte("sync.RWMutex")) {
				return err
			}
			for _, kind := range []string{"Mutex", "RWMutex"} {
				text = bytes.ReplaceAll(text, []byte("sync."+kind), []byte("locktrace."+kind))
			}
			text = bytes.Replace(text, []byte("import ("), []byte("import (\n\t\"rollcall/e2e/locks/locktrace\""), 1)
			text = bytes.Replace(text, []byte(`import "sync"`), []byte("import (\n\t\"rollcall/e2e/locks/locktrace\"\n\t\"sync\"\n)"), 1)
			text = append(text, "\nvar _ sync.Locker\n"...)
			file := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root+"/"), "/", "_"))
			replace[path] = file
			return os.WriteFile(file, text, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text, _ := json.Marshal(map[string]any{"Replace": replace})
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
