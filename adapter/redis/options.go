package redis

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Options configures a Redis store. The zero value of each field but URL
// and Instance means its default.
type Options struct {
	// URL says where Redis is; see ParseURL.
	URL string
	// TLSInsecure accepts any certificate, as Heroku's self-signed ones need.
	TLSInsecure bool
	// Prefix of all keys, which puts them into one hash tag. One deployment is
	// one prefix. Default "rollcall".
	Prefix string
	// Instance is the id of this process: no other process ever has the same. See
	// InstanceID.
	Instance string
	// Grace is how long the entries stay after Close at least, with or without other
	// instances, so that the others do not see users leave who come back. It does not
	// hold for an instance that died. Default 0.
	Grace time.Duration
	// HandOver is the same with other instances only, where users can come back.
	// Default 0.
	HandOver time.Duration
	// Log gets what an operator should know. Default: nothing is logged.
	Log *slog.Logger
	// Timing has the intervals; production needs no others than the defaults.
	Timing Timing
	// batch bounds the changes that one call carries. Default maxBatch.
	batch  int
	limits limits
}

// Timing is how long things take. Leases are measured by Redis' clock
// alone; the local one only says how long something has lasted.
type Timing struct {
	// Renew is the pause between two renewals of the lease. Default 1 s.
	Renew time.Duration
	// Lease is how long a lease lasts. All instances of a deployment must have the
	// same. Default 3 s.
	Lease time.Duration
	// Silence is how long a living instance may be without a connection and a
	// renewal before the others evict it, counted from its last renewal. Default 1.5 s.
	Silence time.Duration
	// Call bounds one call to Redis. Default 1 s; a snapshot has five times it.
	Call time.Duration
	// Block is how long the reader waits for news in one call. Default 1 s.
	Block time.Duration
	// Lag is how long the reader may be behind and make no progress before it takes
	// a snapshot. Default 1 s.
	Lag time.Duration
	// MaxGather is how long changes are gathered for one call in a storm at most. The
	// first after quiet never waits. Default 30 ms.
	MaxGather time.Duration
	// MaxBackoff bounds the pause between attempts while Redis is gone; it must be
	// well below Lease, so that an instance that reconnects is not evicted. Default
	// 500 ms.
	MaxBackoff time.Duration
	// Now is the local clock. Default time.Now.
	Now func() time.Time
}

func (t *Timing) setDefaults() {
	t.Renew = cmp.Or(t.Renew, time.Second)
	t.Lease = cmp.Or(t.Lease, 3*time.Second)
	t.Silence = cmp.Or(t.Silence, 1500*time.Millisecond)
	t.Call = cmp.Or(t.Call, time.Second)
	t.Block = cmp.Or(t.Block, time.Second)
	t.Lag = cmp.Or(t.Lag, time.Second)
	t.MaxGather = cmp.Or(t.MaxGather, 30*time.Millisecond)
	t.MaxBackoff = cmp.Or(t.MaxBackoff, 500*time.Millisecond)
	if t.Now == nil {
		t.Now = time.Now
	}
}

// InstanceID makes an instance's id of a configured name: a restart under the
// same name is another instance.
func InstanceID(name string) string {
	return cmp.Or(name, "rollcall") + "-" + strings.ToLower(rand.Text()[:8])
}

// ParseURL reads a connection URL:
//
//	redis://[user:password@]host[:port][/db]
//	redis+sentinel://[user:password@]host:port,host:port/<master>[/db]
//	redis+cluster://[user:password@]host:port,host:port
//
// rediss instead of redis means TLS; with insecure its certificate is not
// checked. User and password may be percent-encoded. No error contains any
// part of the URL that may be secret.
func ParseURL(raw string, insecure bool) (*goredis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("redis URL: there is no scheme; it looks like redis://host:port")
	}
	o := &goredis.UniversalOptions{}
	plain, secure := strings.CutPrefix(scheme, "rediss")
	if !secure {
		plain, ok = strings.CutPrefix(scheme, "redis")
	}
	if secure {
		// Heroku's certificates are self-signed: hence the choice.
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}
	}
	port := "6379"
	switch {
	case !ok:
		return nil, errUnknownScheme
	case plain == "+sentinel":
		port = "26379"
	case plain == "+cluster":
		o.IsClusterMode = true
	case plain != "":
		return nil, errUnknownScheme
	}
	// The last @ is the one: a careless password may contain others.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if err := credentials(o, rest[:at]); err != nil {
			return nil, err
		}
		rest = rest[at+1:]
	}
	if strings.ContainsAny(rest, "?#") {
		return nil, errors.New("redis URL: it has a query or a fragment, and none is known; in a password write ? as %3F and # as %23")
	}
	hosts, path, _ := strings.Cut(rest, "/")
	var err error
	if o.Addrs, err = addresses(hosts, port); err != nil {
		return nil, err
	}
	return o, target(o, plain, path)
}

var errUnknownScheme = errors.New("redis URL: the scheme must be redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster")

func credentials(o *goredis.UniversalOptions, userinfo string) error {
	user, password, _ := strings.Cut(userinfo, ":")
	var err, err2 error
	o.Username, err = url.PathUnescape(user)
	o.Password, err2 = url.PathUnescape(password)
	if err != nil || err2 != nil { // which would quote a piece of the password
		return errors.New("redis URL: user or password is not percent-encoded correctly")
	}
	return nil
}

func addresses(hosts, defaultPort string) ([]string, error) {
	var out []string
	for host := range strings.SplitSeq(hosts, ",") {
		name, port, err := net.SplitHostPort(host)
		if err != nil { // no port
			name, port = strings.Trim(host, "[]"), defaultPort
			if strings.Contains(name, ":") && !strings.HasPrefix(host, "[") {
				return nil, errors.New("redis URL: a host has several colons; write IPv6 addresses in brackets, and percent-encode / and @ in a password")
			}
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			// It is not quoted: without an @ this may be the password.
			return nil, errors.New("redis URL: a port is not a number from 1 to 65535; if the password contains a /, write %2F")
		}
		if name == "" {
			return nil, errors.New("redis URL: a host is missing")
		}
		out = append(out, net.JoinHostPort(name, port))
	}
	return out, nil
}

// target reads what follows the hosts: master and database.
func target(o *goredis.UniversalOptions, kind, path string) error {
	db := path
	switch kind {
	case "+sentinel":
		o.MasterName, db, _ = strings.Cut(path, "/")
		if o.MasterName == "" {
			return errors.New("redis URL: with redis+sentinel the master's name follows the hosts: …/<master>/<db>")
		}
	case "+cluster":
		if path != "" && path != "0" {
			return errors.New("redis URL: a cluster has no database but 0")
		}
	case "":
		if len(o.Addrs) > 1 {
			return errors.New("redis URL: several hosts need redis+cluster or redis+sentinel")
		}
	}
	if db == "" {
		return nil
	}
	n, err := strconv.Atoi(db)
	if err != nil || n < 0 {
		return errors.New("redis URL: the database must be a number")
	}
	o.DB = n
	return nil
}
