package redis

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

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
