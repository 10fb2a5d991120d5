package engineio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// all is every packet up to the first that is wrong.
func all(packets iter.Seq2[message, error]) (list []message, err error) {
	for m, err := range packets {
		if err != nil {
			return list, err
		}
		list = append(list, m)
	}
	return list, nil
}

// A packet is handed out before the next is read, and nothing is read behind one
// that is wrong.
func TestPacketsComeOneAtATime(t *testing.T) {
	for _, c := range []struct {
		name, body string
		protocol   int
		binary     bool
	}{
		{"separators", "42[1]" + strings.Repeat("\x1e", 1<<20), 4, false},
		{"packets", strings.Repeat("42[1]\x1e", 1<<18), 4, false},
		{"lengths", strings.Repeat("5:42[1]", 1<<18), 3, false},
		{"zeros", "5:42[1]" + strings.Repeat("0:", 1<<19), 3, false},
		{"bytes", strings.Repeat("\x00\x05\xff42[1]", 1<<17), 3, true},
		{"empty bytes", "\x00\x05\xff42[1]" + strings.Repeat("\x00\x00\xff", 1<<19), 3, true},
	} {
		body := []byte(c.body)
		read := testing.AllocsPerRun(1, func() {
			n := 0
			for m, err := range packets(body, c.protocol, c.binary, 1<<16) {
				if n == 0 && (err != nil || string(m.data) != "42[1]") {
					t.Errorf("%s: %q, %v", c.name, m.data, err)
				}
				if n++; n == 3 {
					break
				}
			}
		})
		if read > 40 {
			t.Errorf("%s: three packets took %v allocations", c.name, read)
		}
	}
}

func TestDecodePayload(t *testing.T) {
	for _, c := range []struct {
		name     string
		body     string
		protocol int
		binary   bool
		want     []message // nil: refused
	}{
		{"one", "42[]", 4, false, []message{{data: []byte("42[]")}}},
		{"two", "40\x1e42[]", 4, false, []message{{data: []byte("40")}, {data: []byte("42[]")}}},
		{"base64", "bAQID", 4, false, []message{{binary: true, data: []byte{1, 2, 3}}}},
		{"bad base64", "b###", 4, false, nil},
		{"empty", "", 4, false, []message{{}}}, // which ends the session
		{"empty in protocol 3", "", 3, false, nil},
		{"empty in binary form", "", 3, true, nil},
		{"zero", "0:2:40", 3, false, []message{{data: []byte("40")}}},
		{"zeros without end", strings.Repeat("0:", maxEmpty+1), 3, false, nil},
		{"zero in binary form", "\x00\x00\xff\x00\x02\xff40", 3, true, []message{{data: []byte("40")}}},
		{"zeros without end in binary form", strings.Repeat("\x01\x00\xff", maxEmpty+1), 3, true, nil},
		{"a length of many zeros", strings.Repeat("0", 300) + "2:40", 3, false, []message{{data: []byte("40")}}},
		{"a length without end", strings.Repeat("0", 1<<20), 3, false, nil},
		{"base64 of more than may be", "b" + strings.Repeat("A", 140), 4, false, nil},
		{"not UTF-8 in protocol 3", "2:4\xff", 3, false, []message{{data: []byte("4\uFFFD")}}},
		{"invalid UTF-8", "4\xff", 4, false, []message{{data: []byte("4\uFFFD")}}},
		{"too long", "4" + string(make([]byte, 100)), 4, false, nil},
		{"lengths", "2:405:42[1]", 3, false, []message{{data: []byte("40")}, {data: []byte("42[1]")}}},
		{"length in UTF-16", "4:4é😀", 3, false, []message{{data: []byte("4é😀")}}},
		{"length inside a pair", "3:4é😀", 3, false, nil},
		{"length too large", "9:40", 3, false, nil},
		{"negative", "-1:4", 3, false, nil},
		{"no length", ":4", 3, false, nil},
		{"no colon", "40", 3, false, nil},
		{"huge", "99999999999999999999:4", 3, false, nil},
		{"doubled by 1.x", "3:4Ã©", 3, false, []message{{data: []byte("4é")}}},
		{"Latin-1 of 2.x", "3:4éa", 3, false, []message{{data: []byte("4éa")}}},
		{"base64 with type", "6:b4AQID", 3, false, []message{{binary: true, data: []byte{4, 1, 2, 3}}}},
		{"binary form", "\x00\x02\xff40\x01\x03\xff\x04ab", 3, true, []message{{data: []byte("40")}, {binary: true, data: []byte("\x04ab")}}},
		{"binary form, short", "\x00\x09\xff40", 3, true, nil},
		{"binary form, bad digit", "\x00\x0a\xff40", 3, true, nil},
		{"binary form, no length", "\x00\xff40", 3, true, nil},
		{"binary form, bad kind", "\x02\x01\xff4", 3, true, nil},
		{"binary form, bad text", "\x00\x01\xff\xff", 3, true, nil},
	} {
		got, err := all(packets([]byte(c.body), c.protocol, c.binary, 100))
		if refused := err != nil; refused != (c.want == nil) || !refused && fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

// A client of protocol 3 gets bytes if it is a browser of that time, which sends t
// and, if it cannot read bytes, b64.
func TestEncodingOf(t *testing.T) {
	for _, c := range []struct {
		protocol int
		query    string
		want     encoding
	}{
		{4, "", separated}, {4, "t=1", separated}, {4, "b64=1", separated},
		{3, "t=1418-0", framed}, {3, "t=", framed},
		{3, "", counted}, {3, "b64=1", counted}, {3, "b64=true&t=1", counted}, {3, "j=0&t=1", counted},
	} {
		query, _ := url.ParseQuery(c.query)
		if got := encodingOf(c.protocol, query); got != c.want {
			t.Errorf("protocol %d, %q: %v, want %v", c.protocol, c.query, got, c.want)
		}
	}
}

func TestEncodePayload(t *testing.T) {
	two := append(frameOf(`42["é😀"]`), frameOf("2")...)
	if got := string(appendPayload(nil, two, separated)); got != "42[\"é😀\"]\x1e2" {
		t.Errorf("%q", got)
	}
	// ASCII for 1.x clients, which would decode it twice.
	if got := string(appendPayload(nil, two, counted)); got != `24:42["\u00e9\ud83d\ude00"]1:2` {
		t.Errorf("%q", got)
	}
	if got := string(appendPayload(nil, two, framed)); got != "\x00\x01\x02\xff42[\"é😀\"]\x00\x01\xff2" {
		t.Errorf("%q", got)
	}
	if got := string(appendPayload(nil, AppendBinary(nil, 3, []byte{1, 2, 3}), counted)); got != "6:b4AQID" {
		t.Errorf("%q", got)
	}
	var back []string
	if json.Unmarshal(ascii([]byte(`["é😀\\\"ü"]`)), &back) != nil || back[0] != `é😀\"ü` {
		t.Errorf("%q", back)
	}
}

func TestFramesHoldTheirPayloads(t *testing.T) {
	var frames []byte
	sizes := []int{0, 1, 125, 126, 65535, 65536, 200_000}
	for _, n := range sizes {
		frames = appendFrame(frames, opText, make([]byte, n))
	}
	var got []int
	for op, payload := range payloads(frames) {
		if got = append(got, len(payload)); op != opText {
			t.Errorf("frame %d: op %x", len(got), op)
		}
	}
	if !slices.Equal(got, sizes) {
		t.Errorf("frames of %v bytes, want %v", got, sizes)
	}
}

func TestJSONP(t *testing.T) {
	if got, err := decodeJSONP([]byte(`d=` + `1%5C%5Cn2%5Cn3`)); err != nil || string(got) != "1\\n2\n3" {
		t.Errorf("%q, %v", got, err)
	}
	for _, body := range []string{"", "x=1", "x", "dd=1", "d=%", "d=%4", "d=%zz", strings.Repeat("&", 1<<20), strings.Repeat("a&", 1<<19)} {
		if got, err := decodeJSONP([]byte(body)); err == nil {
			t.Errorf("%.20q: no data, no error: %q", body, got)
		}
	}
	if got, err := decodeJSONP([]byte("t=1&d=4+%c3%A9&x=%")); err != nil || string(got) != "4 é" {
		t.Errorf("%q, %v", got, err)
	}
	body := []byte("d=" + strings.Repeat("%1e", 1<<18))
	if n := testing.AllocsPerRun(1, func() { decodeJSONP(body) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if got := string(encodeJSONP([]byte(`42["</script>"]`), "7);alert(1")); got != `___eio[71]("42[\"\u003c/script\u003e\"]");` {
		t.Error(got)
	}
}

// A connection keeps what is read of its query later, and no more.
func TestKeptOfTheQuery(t *testing.T) {
	query, _ := url.ParseQuery("EIO=3&token=a%20b&token=c&x=" + strings.Repeat("%22", 1000) + "&j=0")
	opts := Options{Parameters: []string{"token", "userId"}}
	c := &Conn{query: opts.keep(query)}
	if got := c.Query().Encode(); got != "j=0&token=a+b" {
		t.Error(got)
	}
	c.query = (&Options{}).keep(query)
	if got := c.Query(); len(got) != len(query) {
		t.Error("not all is kept: ", got)
	}
}

// FuzzPayload: a body is decoded whole or refused, and never panics; what is
// decoded fits the limit.
func FuzzPayload(f *testing.F) {
	for _, body := range []string{"", "1:4", "0:", "2:é4", "4:\xf0\x9f\x98\x8040", "40\x1e41", "bAAAA", "\x00\x02\xff40", "\x01\x01\x00\xff4"} {
		f.Add([]byte(body), true, false)
		f.Add([]byte(body), false, false)
		f.Add([]byte(body), true, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, three, binary bool) {
		protocol := 4
		if three {
			protocol = 3
		}
		list, _ := all(packets(bytes.Clone(body), protocol, binary, 100))
		for _, m := range list {
			if len(m.data) > 100 {
				t.Fatalf("a packet of %d bytes", len(m.data))
			}
		}
	})
}
