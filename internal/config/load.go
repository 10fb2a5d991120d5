package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// minSecret is the least length of a secret, in bytes: a shorter one can be guessed.
const minSecret = 16

// Mistakes is every wrong variable, one sentence each, in the order of Config.
type Mistakes []string

func (m Mistakes) Error() string { return strings.Join(m, "\n") }

// Load reads the configuration with getenv (os.Getenv in the program). An empty variable
// counts as not set. The error is a Mistakes with every mistake.
func Load(getenv func(string) string) (Config, error) {
	fields := reflect.VisibleFields(reflect.TypeFor[Config]())
	environment := make(map[string]string, len(fields))
	for _, f := range fields {
		environment[f.Tag.Get("env")] = strings.TrimSpace(getenv(f.Tag.Get("env")))
	}

	var c Config
	unreadable, err := unreadableFields(env.ParseWithOptions(&c, env.Options{Environment: environment}))
	if err != nil {
		return Config{}, err
	}
	var mistakes Mistakes
	wrong := func(name, sentence string) {
		mistakes = append(mistakes, fmt.Sprintf("%s must be %s, not %q", name, sentence, environment[name]))
	}
	for _, f := range fields {
		why, bad := unreadable[f.Name]
		if !bad && inRange(f, reflect.ValueOf(c).FieldByIndex(f.Index)) {
			continue
		}
		wrong(f.Tag.Get("env"), wanted(f))
		if why != "" {
			mistakes[len(mistakes)-1] += ": " + why
		}
	}
	if !validHost(c.Host) {
		wrong("HOST", "an address or a host name without a port")
	}
	for _, v := range []struct{ name, value string }{
		{"REDIS_PREFIX", c.RedisPrefix}, {"REDIS_CHANNEL", c.RedisChannel}, {"INSTANCE", c.Instance},
	} {
		if !plainName.MatchString(v.value) {
			wrong(v.name, "at most 64 letters, digits and . _ : / - signs")
		}
	}
	// A wrong value of these may still be a secret, and is not shown.
	if !validWebURL(c.RailsURL.Reveal()) {
		mistakes = append(mistakes, "RAILS_URL must be an http:// or https:// URL such as https://app.example.com, without ? and #")
	}
	mistakes = append(mistakes, wrongSecrets(c)...)
	if _, port, err := net.SplitHostPort(c.DebugAddress); c.DebugAddress != "" && (err != nil || port == "") {
		wrong("DEBUG_ADDRESS", "an address with a port such as 127.0.0.1:6060")
	}
	// Two variables can be compared only if each is valid by itself.
	if len(mistakes) == 0 {
		mistakes = compare(c)
	}
	if len(mistakes) > 0 {
		return Config{}, mistakes
	}
	if c.Compat == CompatStrict && environment["GRACE"] == "" {
		c.Grace = 0 // Node's service had none
	}
	c.RedisChannel = cmp.Or(c.RedisChannel, defaultChannel(c.RedisPrefix))
	return c, nil
}

// defaultChannel keeps deployments with different prefixes on one Redis apart.
func defaultChannel(prefix string) string {
	if prefix == "rollcall" {
		return "socket.io"
	}
	return prefix + ":socket.io"
}

// wrongSecrets finds secrets that could be guessed or could not be sent in a header. It
// does not show them.
func wrongSecrets(c Config) (m Mistakes) {
	for _, v := range []struct {
		name string
		key  Secret
	}{{"API_KEY", c.APIKey}, {"METRICS_KEY", c.MetricsKey}} {
		key := v.key.Reveal()
		switch {
		case key == "":
		case len(key) > 512 || !headerToken.MatchString(key):
			m = append(m, v.name+" must be at most 512 letters, digits and ASCII signs, without spaces")
		case len(key) < minSecret:
			m = append(m, fmt.Sprintf("%s must be at least %d letters, digits and ASCII signs: openssl rand -hex 32 makes one", v.name, minSecret))
		case isOneCharacter(key):
			m = append(m, v.name+" must not be one repeated character: openssl rand -hex 32 makes a key")
		}
	}
	secrets := c.AuthSecrets()
	switch {
	case len(secrets) > 2 || c.AuthSecret != "" && len(secrets) == 0 || slices.ContainsFunc(secrets, func(s string) bool { return len(s) < minSecret }):
		m = append(m, fmt.Sprintf("AUTH_SECRET must be a secret of at least %d characters, or two, comma-separated", minSecret))
	case slices.ContainsFunc(secrets, isOneCharacter):
		m = append(m, "AUTH_SECRET must not be one repeated character: openssl rand -hex 32 makes a secret")
	}
	return m
}

func isOneCharacter(s string) bool {
	first := []rune(s)[:1]
	return strings.Trim(s, string(first)) == ""
}

// compare finds mistakes between two variables.
func compare(c Config) (m Mistakes) {
	wrong := func(name, sentence string, limit, value Size) {
		m = append(m, fmt.Sprintf("%s must be %s (%v), not %v", name, sentence, limit, value))
	}
	if c.MaxUser > c.MaxMessage {
		wrong("MAX_USER", "at most MAX_MESSAGE", c.MaxMessage, c.MaxUser)
	}
	if c.MaxBody < c.MaxMessage {
		wrong("MAX_BODY", "at least MAX_MESSAGE", c.MaxMessage, c.MaxBody)
	}
	if c.MaxQueues != 0 && c.MaxQueues < c.MaxQueue {
		wrong("MAX_QUEUES", "at least MAX_QUEUE", c.MaxQueue, c.MaxQueues)
	}
	// A growing body is copied into a buffer of twice its size.
	if c.MaxInbound != 0 && c.MaxInbound < 3*c.MaxBody {
		wrong("MAX_INBOUND", "at least three times MAX_BODY", c.MaxBody, c.MaxInbound)
	}
	return m
}

// unreadableFields returns the fields that could not be parsed, with the reason if it is
// a notAnOrigin. An error of another kind is a bug in Config.
func unreadableFields(err error) (map[string]string, error) {
	names := map[string]string{}
	var all env.AggregateError
	if err != nil && !errors.As(err, &all) {
		return nil, err
	}
	for _, e := range all.Errors {
		var parse env.ParseError
		if !errors.As(e, &parse) {
			return nil, e
		}
		var why notAnOrigin
		errors.As(parse.Err, &why)
		names[parse.Name] = string(why)
	}
	return names, nil
}

// inRange checks a field against its min and max tags.
func inRange(f reflect.StructField, v reflect.Value) bool {
	low, ok := f.Tag.Lookup("min")
	if !ok {
		return true
	}
	return v.Int() >= bound(f, low) && v.Int() <= bound(f, f.Tag.Get("max"))
}

// bound parses a min or max tag in the field's type. It panics for a wrong tag.
func bound(f reflect.StructField, tag string) int64 {
	v := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: f.Name, Type: f.Type, Tag: `env:"BOUND"`,
	}}))
	if err := env.ParseWithOptions(v.Interface(), env.Options{Environment: map[string]string{"BOUND": tag}}); err != nil {
		panic(fmt.Sprintf("config: %s has the bound %q: %v", f.Name, tag, err))
	}
	return v.Elem().Field(0).Int()
}

// wanted describes the valid values of a variable.
func wanted(f reflect.StructField) string {
	return strings.Replace(sentences[f.Type], "SPAN", "from "+f.Tag.Get("min")+" to "+f.Tag.Get("max"), 1)
}

// sentences describe the valid values of a type; SPAN stands for those of min and max.
var sentences = map[reflect.Type]string{
	reflect.TypeFor[int]():           "a number SPAN",
	reflect.TypeFor[bool]():          "true or false",
	reflect.TypeFor[Size]():          "a size SPAN, such as 65536, 64KiB or 4MiB",
	reflect.TypeFor[time.Duration](): "a duration SPAN, such as 25s or 1m30s",
	reflect.TypeFor[slog.Level]():    "debug, info, warn or error",
	reflect.TypeFor[LogFormat]():     "auto, text, logfmt or json",
	reflect.TypeFor[Compat]():        "default or strict",
	reflect.TypeFor[Origins]():       "* or a comma-separated list of origins such as https://app.example.com",
	reflect.TypeFor[Hosts]():         "a comma-separated list of host names such as rollcall.example.com, *.example.com or localhost:8000",
	reflect.TypeFor[Proxies]():       "a comma-separated list of addresses or CIDR ranges such as 10.0.0.0/8",
}

// plainName matches names that need no quotes in a key, a channel or a log.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._:/-]{0,64}$`)

// headerToken matches what a header carries unchanged. Its length is checked apart: in
// the pattern it would take half a megabyte.
var headerToken = regexp.MustCompile(`^[!-~]*$`)

// validWebURL reports whether s is empty or a URL to which a path can be appended.
func validWebURL(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && validPort(u.Port()) &&
		u.Hostname() != "" && u.Opaque == "" && !strings.ContainsAny(s, "?#")
}

func validPort(s string) bool {
	n, err := strconv.Atoi(s)
	return s == "" || err == nil && n >= 1 && n <= 65535
}

var hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?\.?)+$`)

func validHost(s string) bool {
	if s == "" || hostName.MatchString(s) && len(s) <= 253 {
		return true
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}
