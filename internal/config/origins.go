package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Origins are the web origins that may connect, in the form in which browsers
// send them in the header Origin, or the single element "*".
type Origins []string

// Any reports whether every origin may connect.
func (o Origins) Any() bool { return len(o) == 1 && o[0] == "*" }

func (o *Origins) UnmarshalText(text []byte) error {
	var list Origins
	for item := range items(text) {
		origin, err := parseOrigin(item)
		if err != nil {
			return err
		}
		list = append(list, origin)
	}
	if len(list) == 0 || len(list) > 1 && slices.Contains(list, "*") {
		return errFormat
	}
	*o = list
	return nil
}

// notAnOrigin is the reason why browsers send no such origin or host.
type notAnOrigin string

func (e notAnOrigin) Error() string { return string(e) }

// neverSent has the schemes that no browser sends in an origin, with the reason.
var neverSent = map[string]string{
	"ws": "an origin is that of the page: write http://", "wss": "an origin is that of the page: write https://",
	"about": "such pages have the origin null", "blob": "such pages have the origin of the page that made them",
	"data": "such pages have the origin null", "javascript": "such pages have the origin of the page that opened them",
	"ftp": "browsers show no such pages",
}

var originScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// parseOrigin returns an origin as browsers write it: lower case, names in ASCII
// (punycode), without the scheme's default port. Its error is errFormat or a
// notAnOrigin.
func parseOrigin(item string) (string, error) {
	if item == "*" || strings.EqualFold(item, "null") || strings.EqualFold(item, "file://") {
		return strings.ToLower(item), nil
	}
	scheme, host, found := strings.Cut(item, "://")
	scheme = strings.ToLower(scheme)
	if why := neverSent[scheme]; found && why != "" {
		return "", notAnOrigin(why)
	}
	if found && scheme == "file" {
		return "", notAnOrigin("pages of files have the origin file:// or null, without a path")
	}
	if !found || !originScheme.MatchString(scheme) || host == "" || strings.ContainsAny(host, "/*?# ") {
		return "", errFormat
	}
	if strings.ContainsAny(host, `@%\^|<>"{}`) {
		return "", notAnOrigin("an origin has a host and perhaps a port, nothing else")
	}
	if scheme != "http" && scheme != "https" {
		// The origin of an app: capacitor://localhost, chrome-extension://<id>.
		return scheme + "://" + strings.ToLower(host), nil
	}
	host, err := webHost(host, map[string]string{"http": "80", "https": "443"}[scheme])
	if err != nil {
		return "", err
	}
	return scheme + "://" + host, nil
}

// webHost returns a host as browsers write it, with its port unless that is the default.
func webHost(host, defaultPort string) (string, error) {
	u, err := url.Parse("http://" + host)
	if err != nil || u.Hostname() == "" {
		return "", notAnOrigin("the host or the port cannot be right")
	}
	port := u.Port()
	if port != "" {
		if !validPort(port) {
			return "", notAnOrigin("a port is a number from 1 to 65535")
		}
		port = strings.TrimLeft(port, "0")
	}
	name, err := asciiHost(u.Hostname(), strings.HasPrefix(host, "["))
	if err != nil || port == "" || port == defaultPort {
		return name, err
	}
	return name + ":" + port, nil
}

// domainToASCII converts host names as browsers do (WHATWG URL, "domain to ASCII").
var domainToASCII = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true),
	idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false), idna.VerifyDNSLength(false))

var numericLabel = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)

// asciiHost returns a host name or an address as browsers write it.
func asciiHost(host string, bracketed bool) (string, error) {
	if bracketed {
		return ipv6Host(host)
	}
	name, err := domainToASCII.ToASCII(host)
	if err != nil || name == "" || name[0] == '.' || strings.ContainsAny(name, ":%/ ") {
		return "", notAnOrigin("no host can have this name")
	}
	last := strings.TrimSuffix(name, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if !numericLabel.MatchString(last) {
		return name, nil
	}
	// A host that ends in a number is an IPv4 address. Browsers also accept shorter and
	// hexadecimal forms, and send four decimal numbers.
	addr, err := netip.ParseAddr(strings.TrimSuffix(name, "."))
	if err != nil || !addr.Is4() {
		return "", notAnOrigin("an IPv4 address has four decimal numbers")
	}
	return addr.String(), nil
}

// ipv6Host returns an address in brackets. Browsers write all of it hexadecimal.
func ipv6Host(host string) (string, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", notAnOrigin("this is no IPv6 address without a zone")
	}
	if addr.Is4In6() {
		b := addr.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15])), nil
	}
	return "[" + addr.String() + "]", nil
}

// Hosts are the host names that requests may be sent to, for ALLOWED_HOSTS. Empty: any.
type Hosts []allowedHost

type allowedHost struct {
	name string // never ""
	port string // "": any
	wild bool   // the subdomains of name, but not name itself
}

// UnmarshalText reads a comma-separated list of names, each with an optional "*." before
// it and an optional port.
func (h *Hosts) UnmarshalText(text []byte) error {
	var list Hosts
	for item := range items(text) {
		rest, wild := strings.CutPrefix(item, "*.")
		if strings.ContainsAny(rest, `/*?#@%\ `) {
			return errFormat
		}
		host, err := webHost(rest, "")
		if err != nil {
			return err
		}
		name, port := splitHost(host)
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil && wild {
			return errFormat
		}
		list = append(list, allowedHost{name, port, wild})
	}
	if len(list) == 0 && len(bytes.TrimSpace(text)) > 0 {
		return errFormat // "," must not open the door to any
	}
	*h = list
	return nil
}

// Allow reports whether requests may be sent to a host, as in the header Host.
func (h Hosts) Allow(host string) bool {
	if len(h) == 0 {
		return true
	}
	host, err := webHost(host, "")
	if err != nil {
		return false
	}
	name, port := splitHost(host)
	return slices.ContainsFunc(h, func(one allowedHost) bool {
		match := name == one.name
		if one.wild {
			match = strings.HasSuffix(name, "."+one.name)
		}
		return match && (one.port == "" || one.port == port)
	})
}

// splitHost splits what webHost returned. It removes the dot at the end of a name.
func splitHost(host string) (name, port string) {
	if end := strings.LastIndexByte(host, ':'); end > strings.LastIndexByte(host, ']') {
		host, port = host[:end], host[end+1:]
	}
	return strings.TrimSuffix(host, "."), port
}
