package cluster

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/e2e/program"
)

// An instance is one of the places where rollcall runs. It keeps its name and
// its port when its process is started again.
type instance struct {
	*program.Process
	t    testing.TB
	name string
	port string
	vars []string
	link *link // to Redis; nil if nothing lies between
	// open tells the load balancer that it may send clients here.
	open atomic.Bool
}

func (in *instance) url() string { return "http://127.0.0.1:" + in.port }

// start starts the process and waits until it says that it is ready.
func (in *instance) start() {
	in.t.Helper()
	in.launch()
	err := program.Wait(patience, func() bool { return in.Ended() || in.ready() })
	if err != nil || in.Ended() {
		in.t.Fatalf("instance %s is not ready: %v\n%s", in.name, err, in.Log.Last(3000))
	}
	in.open.Store(true)
}

// launch starts the process, no more.
func (in *instance) launch() {
	in.t.Helper()
	log := &program.Log{}
	if in.Process != nil {
		log = in.Log
	}
	in.Process = program.Launch(in.t, log, in.vars, binary)
}

// ready asks the instance whether it can serve.
func (in *instance) ready() bool {
	_, err := in.get("/readyz")
	return err == nil
}

// get is the body of a successful answer, which takes a second at most.
func (in *instance) get(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, in.url()+path, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// crash kills the process.
func (in *instance) crash() {
	in.open.Store(false)
	in.Kill()
}

// shutdown asks the process to end, and waits until it has: ten seconds are
// the promise, and one is for the machine.
func (in *instance) shutdown() {
	in.t.Helper()
	in.open.Store(false)
	in.Signal(syscall.SIGTERM)
	program.Eventually(in.t, 11*time.Second, "instance "+in.name+" ends after SIGTERM", in.Ended)
}

// pause stops the process where it is, resume lets it go on.
func (in *instance) pause() {
	in.open.Store(false)
	in.Signal(syscall.SIGSTOP)
}

func (in *instance) resume() {
	in.Signal(syscall.SIGCONT)
	in.open.Store(true)
}
