package engineio

import (
	"bytes"
	"testing"
)

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
		list, err := all(packets(bytes.Clone(body), protocol, binary, 100))
		if err != nil {
			return
		}
		for _, m := range list {
			if len(m.data) > 100 {
				t.Fatalf("a packet of %d bytes", len(m.data))
			}
		}
	})
}
