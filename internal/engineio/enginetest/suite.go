package enginetest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// RunSuite runs an official test suite against a handler, and demands that so many
// of its tests pass. The handler sees requests of one protocol only: the suites demand
// that others are refused. The suite is a checkout in a folder of that which the environment
// variable CONFORMANCE names, with its dependencies installed; without it the test is
// skipped. Files are what mocha runs, of the part of the checkout that is given.
func RunSuite(t *testing.T, handler http.Handler, protocol string, passing int, folder, part string, files ...string) {
	t.Helper()
	checkouts := os.Getenv("CONFORMANCE")
	dir := filepath.Join(checkouts, folder, part)
	if _, err := os.Stat(dir); checkouts == "" || err != nil {
		t.Skipf("there is no checkout of %s", folder)
	}
	listener, err := net.Listen("tcp", "localhost:3000") // where the suites look for it
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("EIO") == protocol {
			handler.ServeHTTP(w, r)
		} else {
			w.WriteHeader(http.StatusBadRequest)
		}
	})}
	go server.Serve(listener) // ends with Close
	defer server.Close()
	mocha := exec.CommandContext(t.Context(), "npx", append([]string{"--no-install", "mocha", "--no-config", "--no-package", "--exit"}, files...)...)
	mocha.Dir = dir
	out, _ := mocha.CombinedOutput() // it fails if any test does
	score := regexp.MustCompile(`(\d+) passing`).FindSubmatch(out)
	if score == nil {
		t.Fatalf("no score:\n%s", out)
	}
	if n, _ := strconv.Atoi(string(score[1])); n < passing {
		t.Errorf("%d pass, want %d:\n%s", n, passing, out)
	}
	t.Logf("%s: %s, want %d", folder, score[0], passing)
}
