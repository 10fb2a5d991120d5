package cluster

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

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

// address is where the instance finds Redis.
func (l *link) address() string { return l.proxy.Listen }

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

// slow delays everything, in each direction.
func (l *link) slow(latency, jitter time.Duration) {
	l.t.Helper()
	l.toxic("upstream", "latency", delay(latency, jitter))
	l.slowAnswers(latency, jitter)
}

// slowAnswers delays what comes from Redis.
func (l *link) slowAnswers(latency, jitter time.Duration) {
	l.t.Helper()
	l.toxic("downstream", "latency", delay(latency, jitter))
}

func delay(latency, jitter time.Duration) string {
	return fmt.Sprintf(`{"latency":%d,"jitter":%d}`, latency.Milliseconds(), jitter.Milliseconds())
}

func (l *link) toxic(stream, kind, attributes string) {
	l.t.Helper()
	toxic := fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":%s}`, kind, stream, attributes)
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		l.t.Fatalf("proxy: %v", err)
	}
}

// heal ends hang and slow.
func (l *link) heal() { l.proxy.Toxics.ResetToxics(context.Background()) }
