package cluster

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"rollcall/e2e/program"
)

// An instance keeps its name and its port when its process is started again.
type instance struct {
	*program.Server
	name string
	link *link // to Redis; nil if it is connected directly
	// open tells the load balancer that it may send clients here.
	open atomic.Bool
}

// start starts the process and waits until it says that it is ready.
func (in *instance) start() {
	in.T.Helper()
	in.Start()
	in.open.Store(true)
}

// crash kills the process.
func (in *instance) crash() {
	in.open.Store(false)
	in.Kill()
}

// shutdown asks the process to end, and waits until it has: ten seconds are
// the promise, and as many are for a busy machine.
func (in *instance) shutdown() {
	in.T.Helper()
	in.open.Store(false)
	in.Signal(syscall.SIGTERM)
	program.Eventually(in.T, 20*time.Second, "instance "+in.name+" ends after SIGTERM", in.Ended)
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

// A link is the network between one instance and Redis.
type link struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

func newLink(t testing.TB, name, upstream string) *link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.New(io.Discard))
	l := &link{t, toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)}
	l.restore()
	t.Cleanup(l.cut)
	return l
}

// cut closes all connections and refuses new ones.
func (l *link) cut() { l.proxy.Stop() }

// restore ends a cut.
func (l *link) restore() {
	l.t.Helper()
	if err := l.proxy.Start(); err != nil {
		l.t.Fatalf("proxy: %v", err)
	}
}

// hang lets connections stand, and nothing through: packets get lost.
func (l *link) hang() {
	l.t.Helper()
	l.toxic("upstream", "timeout", `{"timeout":0}`)
	l.toxic("downstream", "timeout", `{"timeout":0}`)
}

// slow delays everything, in these directions: upstream, to Redis, and downstream.
func (l *link) slow(latency, jitter time.Duration, directions ...string) {
	l.t.Helper()
	for _, direction := range directions {
		l.toxic(direction, "latency", fmt.Sprintf(`{"latency":%d,"jitter":%d}`, latency.Milliseconds(), jitter.Milliseconds()))
	}
}

func (l *link) toxic(direction, kind, attributes string) {
	l.t.Helper()
	toxic := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":%s}`, kind, direction, attributes)
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		l.t.Fatalf("proxy: %v", err)
	}
}

// heal ends hang and slow.
func (l *link) heal() { l.proxy.Toxics.ResetToxics(context.Background()) }
