package client

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// This file is for tests whose server is in their own process: the official clients'
// suites, and a log.

// RunSuite runs an official test suite against a handler, and demands that so many
// of its tests pass. The handler sees requests of one protocol only: the suites demand
// that others are refused. The suite is a file that mocha runs in a folder of a checkout,
// with its dependencies installed, below what the environment variable CONFORMANCE names;
// without it the test is skipped.
func RunSuite(t *testing.T, handler http.Handler, protocol string, passing int, folder, file string) {
	t.Helper()
	checkouts := os.Getenv("CONFORMANCE")
	dir := filepath.Join(checkouts, folder)
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
	mocha := exec.CommandContext(t.Context(), "npx", "--no-install", "mocha", "--no-config", "--no-package", "--exit", file)
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

// PanicLog is a log that fails the test when the server logs a panic that it survived.
func PanicLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(panicLog{t}, nil)) }

type panicLog struct{ t testing.TB }

func (p panicLog) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`msg="panic `)) {
		p.t.Errorf("the server survived a panic: %s", line)
	}
	return len(line), nil
}
