package engineio

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strconv"
	"unicode/utf8"
)

// This file is how a polling response carries what is queued.

// encoding is how a polling client wants its payloads.
type encoding int

const (
	separated encoding = iota // protocol 4: packets between 0x1e
	counted                   // protocol 3 as text: `<length>:<packet>`
	framed                    // protocol 3 as bytes, the form framedPacket reads
)

// encodingOf tells how a client reads payloads. Browsers of protocol 3 want bytes
// unless they say b64; the 1.3 build takes what comes as text for an empty "ok".
// They send t against caches (1.0 to 2.5, in their defaults). A client without t
// is no browser and gets text, as from Node: some microcontrollers' libraries
// read up to the first NUL, with which bytes begin.
func encodingOf(protocol int, query url.Values) encoding {
	switch {
	case protocol == 4:
		return separated
	case query.Has("b64") || query.Has("j") || !query.Has("t"):
		return counted
	default:
		return framed
	}
}

// appendPayload appends queued frames as a polling response carries them.
func appendPayload(b []byte, frames []byte, e encoding) []byte {
	for op, payload := range payloads(frames) {
		text := payload
		if op == opBinary && e != framed {
			text = base64.StdEncoding.AppendEncode([]byte{'b'}, payload)
		}
		switch e {
		case separated:
			if len(b) > 0 {
				b = append(b, 0x1e)
			}
		case counted:
			text = ascii(text)
			b = strconv.AppendInt(b, int64(len(text)), 10)
			b = append(b, ':')
		case framed:
			kind := byte(0)
			if op == opBinary {
				kind = 1
			}
			b = append(b, kind)
			for _, digit := range strconv.Itoa(len(text)) {
				b = append(b, byte(digit-'0'))
			}
			b = append(b, 255)
		}
		b = append(b, text...)
	}
	return b
}

// ascii writes a packet's non-ASCII characters, which stand in JSON strings
// only, as \u escapes. Over polling, 1.x clients take anything else for UTF-8
// encoded twice and give up; all others read it the same.
func ascii(text []byte) []byte {
	i := bytes.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
	if i < 0 {
		return text
	}
	b := append(make([]byte, 0, 2*len(text)), text[:i]...)
	for _, r := range string(text[i:]) {
		switch {
		case r < utf8.RuneSelf:
			b = append(b, byte(r))
		case r > 0xffff:
			r -= 0x10000
			b = appendEscape(appendEscape(b, 0xd800+(r>>10)), 0xdc00+(r&0x3ff))
		default:
			b = appendEscape(b, r)
		}
	}
	return b
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
