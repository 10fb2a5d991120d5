package redis

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/adapter/redistest"
)

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		url, addrs, user, password, master string
		db                                 int
		tls, cluster                       bool
	}{
		{url: "redis://localhost", addrs: "localhost:6379"},
		{url: "redis://localhost/", addrs: "localhost:6379"},
		{url: "redis://h:7000/5", addrs: "h:7000", db: 5},
		{url: "redis://[::1]:7000", addrs: "[::1]:7000"},
		{url: "redis://[::1]/2", addrs: "[::1]:6379", db: 2},
		{url: "redis://:p%40%2Fss@h", addrs: "h:6379", password: "p@/ss"},
		{url: "redis://:p@ss/w:ord@h", addrs: "h:6379", password: "p@ss/w:ord"},
		{url: "rediss://u:p@h:7000", addrs: "h:7000", user: "u", password: "p", tls: true},
		{url: "redis+sentinel://u:p@a:1,b/main/3", addrs: "a:1 b:26379", user: "u", password: "p", master: "main", db: 3},
		{url: "redis+sentinel://a:1/main", addrs: "a:1", master: "main"},
		{url: "rediss+sentinel://a:1/main", addrs: "a:1", master: "main", tls: true},
		{url: "redis+cluster://a:1,b:2", addrs: "a:1 b:2", cluster: true},
		{url: "redis+cluster://:p@a:1", addrs: "a:1", password: "p", cluster: true},
		{url: "rediss+cluster://a:1", addrs: "a:1", tls: true, cluster: true},
	} {
		o, err := ParseURL(c.url, false)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if strings.Join(o.Addrs, " ") != c.addrs || o.Username != c.user || o.Password != c.password ||
			o.MasterName != c.master || o.DB != c.db || o.IsClusterMode != c.cluster || (o.TLSConfig != nil) != c.tls {
			t.Errorf("%s: %+v", c.url, o)
		}
		if c.tls && o.TLSConfig.InsecureSkipVerify {
			t.Errorf("%s: the certificate is not checked", c.url)
		}
	}
	if o, err := ParseURL("rediss://h", true); err != nil || !o.TLSConfig.InsecureSkipVerify {
		t.Errorf("insecure: %v", err)
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, url := range []string{
		"", "localhost", "secret@h", "http://u:secret@h", "redisx://:secret@h", "redis+x://:secret@h",
		"redis://:secret@", "redis://:secret@h:port", "redis://:secret@h:0", "redis://:secret@h:70000",
		"redis://:secret@h/db", "redis://:secret@h/-1", "redis://:secret@h?secret=1", "redis://u:secret/h",
		"redis://:secret@a,b", "redis://:secret%zz@h", "redis://::1", "redis://:secret@h/0/1",
		"redis+sentinel://:secret@h", "redis+sentinel://:secret@h/main/x",
		"redis+cluster://:secret@h/1", "redis+cluster://:secret@a,,b",
	} {
		_, err := ParseURL(url, false)
		switch {
		case err == nil:
			t.Errorf("%s: no error", url)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error tells the password: %v", url, err)
		}
	}
	for _, o := range []Options{
		{URL: "redis://h"},
		{URL: "redis://:secret@h:x", Instance: "a"},
		{URL: "redis://:secret@h", Instance: "a", Prefix: "{x}"},
	} {
		if r, err := Open(t.Context(), o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, %v", o, r, err)
		}
	}
}

// A password without a colon is read as a user: that is said at start, without
// showing it.
func TestUserWithoutPasswordIsSaid(t *testing.T) {
	for url, said := range map[string]bool{
		"redis://hunter2@127.0.0.1:1": true, "redis://hunter2:@127.0.0.1:1": true, "redis+cluster://hunter2@127.0.0.1:1": true,
		"redis://:hunter2@127.0.0.1:1": false, "redis://u:hunter2@127.0.0.1:1": false, "redis://127.0.0.1:1": false,
	} {
		var log strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // there is nobody to ask
		r, err := Open(ctx, Options{URL: url, Instance: "a", Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close(ctx)
		if got := strings.Contains(log.String(), "a user without a password"); got != said || strings.Contains(log.String(), "hunter2") {
			t.Errorf("%s: said %v: %s", url, got, log.String())
		}
	}
}

// Heroku's Redis has a certificate that it signed itself.
func TestTLS(t *testing.T) {
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
	agree(t, a, b)
	strict := open(t, Options{URL: url, Instance: "c"})
	strict.eventually("refusal", func() bool {
		err := strict.Ready()
		return err != nil && strings.Contains(err.Error(), "certificate")
	})
	if err := strict.Ready(); strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
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
	return write("cert.pem", "CERTIFICATE", pair.Certificate[0]), write("key.pem", "PRIVATE KEY", private)
}
