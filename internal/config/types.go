package config

import (
	"errors"
	"iter"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// errFormat is the error of the types below. wanted describes what they accept.
var errFormat = errors.New("not understood")

// Size is a number of bytes, written 65536, 64KiB, 4MiB or 1GiB.
type Size int64

var units = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	digits, unit := string(text), int64(1)
	for _, u := range units {
		if before, found := strings.CutSuffix(digits, u.suffix); found {
			digits, unit = strings.TrimSpace(before), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return errFormat
	}
	*s = Size(int64(n) * unit)
	return nil
}

// String writes the size as UnmarshalText reads it.
func (s Size) String() string {
	for _, u := range units {
		if s > 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// LogFormat is auto, text, logfmt or json.
type LogFormat string

// The formats; observe.NewLogger says what they look like.
const (
	LogAuto   LogFormat = "auto"
	LogText   LogFormat = "text"
	LogLogfmt LogFormat = "logfmt"
	LogJSON   LogFormat = "json"
)

// UnmarshalText reads a format.
func (f *LogFormat) UnmarshalText(text []byte) error {
	return oneOf(f, text, LogAuto, LogText, LogLogfmt, LogJSON)
}

// oneOf reads one of the known texts, in any case.
func oneOf[T ~string](to *T, text []byte, known ...T) error {
	*to = T(strings.ToLower(string(text)))
	if !slices.Contains(known, *to) {
		return errFormat
	}
	return nil
}

// Compat is how closely the server behaves like the Node service code_racer.
type Compat string

// The modes of Compat.
const (
	CompatDefault Compat = "default"
	CompatStrict  Compat = "strict"
)

// UnmarshalText reads a mode.
func (c *Compat) UnmarshalText(text []byte) error {
	return oneOf(c, text, CompatDefault, CompatStrict)
}

// Secret is a value that must not be shown: it prints as stars.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString implements fmt.GoStringer, for %#v.
func (s Secret) GoString() string { return s.String() }

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// Proxies are the networks whose forwarding headers are trusted.
type Proxies []netip.Prefix

// Contains reports whether addr is one of the proxies.
func (p Proxies) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// UnmarshalText reads a comma-separated list of addresses and CIDR ranges.
func (p *Proxies) UnmarshalText(text []byte) error {
	var list Proxies
	for item := range items(text) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, err := netip.ParseAddr(item)
			if err != nil || addr.Zone() != "" {
				return errFormat
			}
			addr = addr.Unmap()
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		} else if prefix.Addr().Is4In6() {
			// Contains compares IPv4 addresses only in their short form.
			return errFormat
		}
		list = append(list, prefix.Masked())
	}
	*p = list
	return nil
}

// items are the non-empty elements of a comma-separated list.
func items(text []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for item := range strings.SplitSeq(string(text), ",") {
			if item = strings.TrimSpace(item); item != "" && !yield(item) {
				return
			}
		}
	}
}
