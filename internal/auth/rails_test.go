package auth

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
	"testing"
	"time"
)

var hashes = map[string]func() hash.Hash{
	"MD5": md5.New, "SHA1": sha1.New, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New,
}

// railsSigned signs data as MessageVerifier does. ruby_test.go has the real one.
func railsSigned(key, digest, data string) string {
	mac := hmac.New(hashes[digest], []byte(key))
	mac.Write([]byte(data))
	return data + "--" + hex.EncodeToString(mac.Sum(nil))
}

func railsToken(key, digest, value string) string {
	return railsSigned(key, digest, base64.StdEncoding.EncodeToString([]byte(value)))
}

// inBase64 is a JSON string, as the older envelope has its value.
func inBase64(value string) string {
	return `"` + base64.StdEncoding.EncodeToString([]byte(value)) + `"`
}

// at is a date as Rails writes it, so many seconds from now.
func at(seconds int) string {
	return `"` + now.Add(time.Duration(seconds)*time.Second).UTC().Format("2006-01-02T15:04:05.000Z") + `"`
}

func TestRails(t *testing.T) {
	minute, never := now.Add(time.Minute), time.Time{}
	for _, c := range []struct {
		name, value, user string
		expires           time.Time
	}{
		{"object", `{"id":7,"name":"Ann"}`, `{"id":7,"name":"Ann"}`, never},
		{"byte for byte", ` { "id": 12345678901234567890, "b":1.50, "a":"\u003cé" } `, `{ "id": 12345678901234567890, "b":1.50, "a":"\u003cé" }`, never},
		{"number", `7`, `{"id":7}`, never},
		{"negative number", `-7`, `{"id":-7}`, never},
		{"string", `"b3\u0041"`, `{"id":"b3\u0041"}`, never},
		{"string with space around", " \"7\"\n", `{"id":"7"}`, never},
		{"old envelope", `{"_rails":{"message":` + inBase64(`{"id":7}`) + `,"exp":null,"pur":"rollcall"}}`, `{"id":7}`, never},
		{"old envelope, expiry", `{"_rails":{"message":` + inBase64(`7`) + `,"exp":` + at(60) + `,"pur":null}}`, `{"id":7}`, minute},
		{"old envelope, both", `{"_rails":{"message":` + inBase64(`"7"`) + `,"exp":` + at(60) + `,"pur":"rollcall"}}`, `{"id":"7"}`, minute},
		{"new envelope", `{"_rails":{"data":{"id":7, "n":1},"pur":"rollcall"}}`, `{"id":7, "n":1}`, never},
		{"new envelope, expiry", `{"_rails":{"data":7,"exp":` + at(60) + `}}`, `{"id":7}`, minute},
		{"new envelope, both", `{"_rails":{"data":"7","exp":` + at(60) + `,"pur":"rollcall"}}`, `{"id":"7"}`, minute},
		{"another time zone", `{"_rails":{"data":7,"exp":"` + minute.In(time.FixedZone("", 7200)).Format(time.RFC3339) + `"}}`, `{"id":7}`, minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, digest := range []string{"SHA1", "SHA256"} {
				accepted(t, ours, railsToken(secret, digest, c.value), now, c.user, c.expires)
				for _, encoding := range []*base64.Encoding{base64.URLEncoding, base64.RawURLEncoding} {
					accepted(t, ours, railsSigned(secret, digest, encoding.EncodeToString([]byte(c.value))), now, c.user, c.expires)
				}
			}
			if c.expires == minute {
				refused(t, ours, railsToken(secret, "SHA256", c.value), minute, ErrExpired)
			}
		})
	}
}

// In URL-safe base64 the data may contain the separator anywhere.
func TestRailsSeparatorInData(t *testing.T) {
	user := `{"id":"` + strings.Repeat("\u03ef\u03be\u03fe", 40) + `>>>>"}`
	seen := false
	for pad := range 3 {
		user := strings.Repeat(" ", pad) + user
		data := base64.RawURLEncoding.EncodeToString([]byte(user))
		seen = seen || strings.Contains(data, "--")
		for _, digest := range []string{"SHA1", "SHA256"} {
			accepted(t, ours, railsSigned(secret, digest, data), now, strings.TrimSpace(user), time.Time{})
		}
	}
	if !seen {
		t.Error("no data of this test has the separator")
	}
}

func TestRailsRefused(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        error
	}{
		{"expired, old envelope", `{"_rails":{"message":` + inBase64(`7`) + `,"exp":` + at(-1) + `,"pur":null}}`, ErrExpired},
		{"expired, new envelope", `{"_rails":{"data":7,"exp":` + at(-1) + `}}`, ErrExpired},
		{"expired now", `{"_rails":{"data":7,"exp":` + at(0) + `}}`, ErrExpired},
		{"expired in the year 1", `{"_rails":{"data":7,"exp":"0001-01-01T00:00:00Z"}}`, ErrExpired},
		{"exp is no time", `{"_rails":{"data":7,"exp":"tomorrow"}}`, ErrMalformed},
		{"exp is a number", `{"_rails":{"data":7,"exp":` + in(60) + `}}`, ErrMalformed},
		{"exp is empty", `{"_rails":{"data":7,"exp":""}}`, ErrMalformed},
		{"for something else, old envelope", `{"_rails":{"message":` + inBase64(`7`) + `,"exp":null,"pur":"password_reset"}}`, ErrAudience},
		{"for something else, new envelope", `{"_rails":{"data":7,"pur":"password_reset"}}`, ErrAudience},
		{"for nothing", `{"_rails":{"data":7,"pur":""}}`, ErrAudience},
		{"in capitals", `{"_rails":{"data":7,"pur":"Rollcall"}}`, ErrAudience},
		{"a list of purposes", `{"_rails":{"data":7,"pur":["rollcall"]}}`, ErrAudience},
		{"purpose twice", `{"_rails":{"data":7,"pur":"login","pur":"rollcall"}}`, ErrMalformed},
		{"envelope twice", `{"_rails":{"data":7,"pur":"login"},"_rails":{"data":7}}`, ErrMalformed},
		{"data twice", `{"_rails":{"data":7,"data":8}}`, ErrMalformed},
		{"message and data", `{"_rails":{"message":` + inBase64(`7`) + `,"data":7}}`, ErrMalformed},
		{"neither", `{"_rails":{"exp":` + at(60) + `}}`, ErrMalformed},
		{"something more within", `{"_rails":{"data":7,"ip":"127.0.0.1"}}`, ErrMalformed},
		{"something more beside", `{"_rails":{"data":7},"id":8}`, ErrMalformed},
		{"envelope is null", `{"_rails":null,"id":7}`, ErrMalformed},
		{"envelope is a string", `{"_rails":"7"}`, ErrMalformed},
		{"message is a number", `{"_rails":{"message":7}}`, ErrMalformed},
		{"message is not base64", `{"_rails":{"message":"{}"}}`, ErrMalformed},
		{"message is not JSON", `{"_rails":{"message":` + inBase64(`{"id":`) + `}}`, ErrMalformed},
		{"message is empty", `{"_rails":{"message":""}}`, ErrMalformed},
		{"message is null", `{"_rails":{"message":null}}`, ErrMalformed},
		{"message of Marshal", `{"_rails":{"message":` + inBase64("\x04\bi\x0c") + `}}`, ErrMalformed},
		{"data is null", `{"_rails":{"data":null}}`, ErrUser},
		{"wrapped twice", `{"_rails":{"data":{"_rails":{"data":7}}}}`, ErrUser},
		{"wrapped twice, base64", `{"_rails":{"message":` + inBase64(`{"_rails":{"data":7}}`) + `}}`, ErrUser},
		{"Marshal", "\x04\b{\x06:\aidi\f", ErrMalformed},
		{"a list", `[{"id":7}]`, ErrUser},
		{"true", `true`, ErrUser},
		{"null", `null`, ErrUser},
		{"empty string", `""`, ErrUser},
		{"nothing", ``, ErrMalformed},
		{"not JSON", `{"id":7`, ErrMalformed},
		{"two values", `7 8`, ErrMalformed},
		{"string closed early", `"7","x":"8"`, ErrMalformed},
		{"not UTF-8", "\"\xff\"", ErrMalformed},
		{"object, not UTF-8", "{\"id\":7,\"n\":\"\xff\"}", ErrMalformed},
		{"deep", strings.Repeat(`{"_rails":`, 500), ErrMalformed},
		{"deep and whole", strings.Repeat(`{"_rails":`, 500) + "{}" + strings.Repeat(`}`, 500), ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, digest := range []string{"SHA1", "SHA256"} {
				refused(t, ours, railsToken(secret, digest, c.value), now, c.want)
			}
		})
	}
}

func TestRailsForged(t *testing.T) {
	token := railsToken(secret, "SHA1", `{"id":7}`)
	data, digest, _ := strings.Cut(token, "--")
	flipped := map[bool]string{true: "1", false: "0"}[digest[39] == '0']
	for name, forged := range map[string]string{
		"another secret":       railsToken("another secret of that length", "SHA1", `{"id":7}`),
		"another user":         base64.StdEncoding.EncodeToString([]byte(`{"id":8}`)) + "--" + digest,
		"data cut":             data[4:] + "--" + digest,
		"data empty":           "--" + digest,
		"digest empty":         data + "--",
		"digest cut":           data + "--" + digest[:39],
		"digest too long":      token + "0",
		"digest in capitals":   data + "--" + strings.ToUpper(digest),
		"digest wrong at end":  data + "--" + digest[:39] + flipped,
		"digest twice":         token + "--" + digest,
		"three dashes":         data + "---" + digest,
		"SHA1's, cut out":      data + "--" + railsToken(secret, "SHA256", `{"id":7}`)[len(data)+2:][:40],
		"SHA1's, with zeros":   token + strings.Repeat("0", 24),
		"MD5":                  railsToken(secret, "MD5", `{"id":7}`),
		"SHA384":               railsToken(secret, "SHA384", `{"id":7}`),
		"SHA512":               railsToken(secret, "SHA512", `{"id":7}`),
		"dashes":               strings.Repeat("-", 80),
		"a JWT's signature":    strings.ReplaceAll(sub7(secret), ".", "--"),
		"digest of nothing":    "--" + railsSigned(secret, "SHA1", "")[2:] + "0",
		"a digest, two hashes": data + "--" + digest + "--" + railsSigned(oldSecret, "SHA256", token)[len(token)+2:],
	} {
		t.Run(name, func(t *testing.T) { refused(t, ours, forged, now, ErrSignature) })
	}
	for name, odd := range map[string]string{
		"nothing, signed":      railsSigned(secret, "SHA1", ""),
		"standard, no padding": railsSigned(secret, "SHA1", base64.RawStdEncoding.EncodeToString([]byte(`{"id":"??>>"}`))),
		"both alphabets":       railsSigned(secret, "SHA1", "+/+/-_-_"),
		"spare bits":           railsSigned(secret, "SHA1", "N1=="),
		"padding within":       railsSigned(secret, "SHA1", "Nw==Nw=="),
	} {
		t.Run(name, func(t *testing.T) { refused(t, ours, odd, now, ErrMalformed) })
	}
}
