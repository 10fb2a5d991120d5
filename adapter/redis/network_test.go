package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

// A wire is the network between one instance and Redis, which can be cut.
type wire struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

func newWire(t *testing.T, upstream string) *wire {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w := &wire{t, toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", upstream)}
	if err := w.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.proxy.Stop)
	return w
}

func (w *wire) url() string { return "redis://" + w.proxy.Listen }

// disturb does something to both directions, until mend: "timeout" lets data
// vanish and leaves the connections open.
func (w *wire) disturb(kind string, attributes string) {
	w.t.Helper()
	for _, direction := range []string{"upstream", "downstream"} {
		body := fmt.Sprintf(`{"name":"%s","type":"%s","stream":"%s","attributes":%s}`, direction, kind, direction, attributes)
		if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(body)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *wire) mend() { w.proxy.Toxics.ResetToxics(w.t.Context()) }

// An instance whose network is dead (nothing is closed, nothing arrives) is
// evicted by the others, and serves its own clients; when the network is
// back, all is as it was.
func TestRedisNetworkCut(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := opens(t, server.URL(), "a", "b")
	w := newWire(t, server.Addr())
	c := open(t, Options{URL: w.url(), Instance: "c"})
	all := append(ab, c)
	for _, i := range all {
		i.enter(30)
	}
	agree(t, bound, all...)
	errors := c.Stats().Errors
	w.disturb("timeout", `{"timeout":0}`)
	c.eventually("noticing it", bound, func() bool { return c.Stats().Errors > errors })
	c.put("c/0", `{"while":"cut"}`)
	c.Remove(rooms.EntryKey{Key: "c/1"}, rooms.Closed)
	c.put("c/30", `{"new":true}`)
	ab[0].put("a/0", `{"while":"cut"}`)
	t.Logf("evicted after %v", agree(t, bound, ab...))
	for _, i := range ab {
		leftOnce(t, i, "c/", 30, rooms.InstanceLost)
		i.forget()
	}
	if n := len(c.view()); n != 90 {
		t.Errorf("the cut off instance sees %d, want its own 30 and the 60 others", n)
	}
	c.eventually("not ready", bound, func() bool { return c.Ready() != nil })
	w.mend()
	t.Logf("repaired after %v", agree(t, bound, all...))
	nobodyLeft(t, ab...)
	if gone := c.departures(); len(gone) != 0 { // its own are told by nobody
		t.Errorf("the cut off instance saw leave: %v", gone)
	}
}

// A slow network is no dead one.
func TestRedisNetworkSlow(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ab := opens(t, server.URL(), "a", "b")
	w := newWire(t, server.Addr())
	c := open(t, Options{URL: w.url(), Instance: "c"})
	all := append(ab, c)
	agree(t, bound, all...)
	w.disturb("latency", `{"latency":150,"jitter":100}`)
	for _, i := range all {
		i.enter(300)
	}
	t.Logf("all after %v", agree(t, bound, all...))
	settle(all...)
	agree(t, bound, all...)
	nobodyLeft(t, all...)
}

// Heroku's Redis has a certificate that it signed itself.
func TestRedisTLS(t *testing.T) {
	t.Parallel()
	certificate, key := selfSigned(t)
	server := redistest.Start(t)
	plain := server.Addr()
	host, _, _ := net.SplitHostPort(plain)
	port := redistest.FreePort(t)
	for _, set := range [][2]string{{"tls-cert-file", certificate}, {"tls-key-file", key}, {"tls-auth-clients", "no"}, {"tls-port", fmt.Sprint(port)}, {"requirepass", "s3cret/@:"}} {
		server.Do("CONFIG", "SET", set[0], set[1])
	}
	url := fmt.Sprintf("rediss://:s3cret%%2F%%40%%3A@%s:%d", host, port)
	a := open(t, Options{URL: url, TLSInsecure: true, Instance: "a"})
	b := open(t, Options{URL: url, TLSInsecure: true, Instance: "b"})
	a.enter(10)
	agree(t, bound, a, b)
	strict := open(t, Options{URL: url, Instance: "c"})
	strict.eventually("refusal", bound, func() bool {
		err := strict.Ready()
		return err != nil && strings.Contains(err.Error(), "certificate")
	})
	if err := strict.Ready(); strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "redis"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", signed), write("key.pem", "PRIVATE KEY", pkcs8)
}
