package msgjson

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

const maxDepth = 40

// TestDecode reads MessagePack as other languages write it.
func TestDecode(t *testing.T) {
	for in, want := range map[string]string{
		"\xc0":                                 `null`,
		"\xc2":                                 `false`,
		"\xc3":                                 `true`,
		"\x7f":                                 `127`,
		"\xe0":                                 `-32`,
		"\xcc\xff":                             `255`,
		"\xcd\xff\xff":                         `65535`,
		"\xce\xff\xff\xff\xff":                 `4294967295`,
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff": `18446744073709551615`,
		"\xd0\x80":                             `-128`,
		"\xd1\x80\x00":                         `-32768`,
		"\xd2\x80\x00\x00\x00":                 `-2147483648`,
		"\xd3\x80\x00\x00\x00\x00\x00\x00\x00": `-9223372036854775808`,
		"\xca\x3f\x00\x00\x00":                 `0.5`,
		"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a": `0.1`,
		"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00": `null`, // infinite
		"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00": `null`, // NaN
		"\xa0":                                 `""`,
		"\xd9\x01\"":                           `"\""`,
		"\xa1\xff":                             "\"\ufffd\"",
		"\xa2\n\x00":                           `"\u000a\u0000"`,
		"\xa3<&>":                              `"<&>"`,
		"\xdc\x00\x02\x01\x02":                 `[1,2]`,
		"\xdd\x00\x00\x00\x00":                 `[]`,
		"\x82\xa1b\x01\xa1a\x80":               `{"b":1,"a":{}}`,
		"\xde\x00\x01\x05\x05":                 `{"5":5}`,
		"\xdf\x00\x00\x00\x01\xff\x05":         `{"-1":5}`,
		"\xd6\xff\x00\x00\x00\x01":             `"1970-01-01T00:00:01.000Z"`,
		"\xd7\xff\x77\x35\x94\x00\x00\x00\x00\x01":                     `"1970-01-01T00:00:01.500Z"`,
		"\xc7\x0c\xff\x1d\xcd\x65\x00\xff\xff\xff\xff\xff\xff\xff\xff": `"1969-12-31T23:59:59.500Z"`,
		"\xd7\x00\x00\x00\x00\x00\x00\x00\x05\xdc":                     `"1970-01-01T00:00:01.500Z"`,
		"\xd4\x00\x00": `null`, // undefined
		strings.Repeat("\x91", maxDepth) + "\x01": strings.Repeat("[", maxDepth) + "1" + strings.Repeat("]", maxDepth),
	} {
		got, err := Decode(msgpack.NewDecoder(strings.NewReader(in)), maxDepth)
		if err != nil || string(got) != want {
			t.Errorf("%x: %.200s, %v; want %.200s", in, got, err, want)
		}
	}
	for in, want := range map[string]error{
		"":                         ErrMalformed,
		"\xc1":                     ErrMalformed,
		"\x92\x01":                 ErrMalformed,
		"\x81\xa1a":                ErrMalformed,
		"\xdd\xff\xff\xff\xff":     ErrMalformed,
		"\xdf\xff\xff\xff\xff":     ErrMalformed,
		"\xc4\x01\x00":             ErrBinary,
		"\x81\xa1a\xc4\x00":        ErrBinary,
		"\xd4\x01\x00":             ErrBinary,
		"\xc9\xff\xff\xff\xff\x01": ErrBinary,
		"\xd7\xff\x00":             ErrMalformed,
		"\x81\xc0\x01":             nil, // a key that is nil
		"\xdb\xff\xff\xff\xffx":    nil,
		"\xcf\x00":                 nil,
		"\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff": nil, // a date beyond all years
		strings.Repeat("\x91", maxDepth+1) + "\x01":                    ErrDepth,
	} {
		got, err := Decode(msgpack.NewDecoder(strings.NewReader(in)), maxDepth)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%x: %.200s, %v; want %v", in, got, err, want)
		}
	}
}

// TestEncodeNumbers shows what becomes of numbers that are no 64-bit integers.
func TestEncodeNumbers(t *testing.T) {
	for in, want := range map[string]string{
		`18446744073709551616`:     `18446744073709552000`,
		`-9223372036854775809`:     `-9223372036854776000`,
		`123456789012345678901234`: `1.2345678901234569e+23`,
		`1.0`:                      `1`,
		`1e2`:                      `100`,
		`-0`:                       `-0`,
	} {
		if got := roundTrip(t, in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{`1e400`, strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), `[1`, `1 2`, ``} {
		if err := Encode(msgpack.NewEncoder(io.Discard), []byte(in), maxDepth); err == nil {
			t.Errorf("%.20s was encoded", in)
		}
	}
}

func roundTrip(t *testing.T, value string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(msgpack.NewEncoder(&b), []byte(value), maxDepth); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(msgpack.NewDecoder(&b), maxDepth)
	if err != nil || b.Len() > 0 {
		t.Fatalf("%v, and %d bytes are left", err, b.Len())
	}
	return string(got)
}

// TestEncodeIsCanonical: every length in the shortest form, as in msgpack
// libraries of other languages.
func TestEncodeIsCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":[1,{}],"a":null}`: "\x82\xa1b\x92\x01\x80\xa1a\xc0",
		`[[],"",true,0.5]`:      "\x94\x90\xa0\xc3\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00",
	} {
		var b bytes.Buffer
		if err := Encode(msgpack.NewEncoder(&b), []byte(in), 3); err != nil || b.String() != want {
			t.Errorf("%s became %x, %v; want %x", in, b.String(), err, want)
		}
	}
}
