package engineio

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// This file is how a polling response carries what is queued, and polling by script
// (JSONP), which some old clients do across origins: forms in, calls of a function out.

// encoding is how a polling client wants its payloads.
type encoding uint8

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
			head, data := "b", payload
			if e == counted { // the message's type, a byte before, is a digit here
				head, data = "b4", payload[1:]
			}
			text = base64.StdEncoding.AppendEncode([]byte(head), data)
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
			b = append(b, op-opText) // 0 or 1
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
		if r < utf8.RuneSelf {
			b = append(b, byte(r))
			continue
		}
		for _, unit := range utf16.AppendRune(make([]uint16, 0, 2), r) {
			b = hex.AppendEncode(append(b, `\u`...), []byte{byte(unit >> 8), byte(unit)})
		}
	}
	return b
}

// decodeJSONP undoes the form and the newline escaping of a JSONP request, in the
// body's own memory.
func decodeJSONP(body []byte) ([]byte, error) {
	for more := true; more; {
		var pair []byte
		pair, body, more = bytes.Cut(body, []byte{'&'})
		if value, ok := bytes.CutPrefix(pair, []byte("d=")); ok {
			return unescapeForm(value)
		}
	}
	return nil, errPayload
}

// unescapeForm decodes a form's value in place. In what it carries, `\n` stands
// for a newline and `\\n` for `\n`.
func unescapeForm(value []byte) ([]byte, error) {
	plain := value[:0]
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%':
			if len(value) < i+3 {
				return nil, errPayload
			}
			if _, err := hex.Decode(value[i:i+1], value[i+1:i+3]); err != nil {
				return nil, errPayload
			}
			c = value[i]
			i += 2
		}
		plain = append(plain, c)
	}
	text := plain[:0]
	for i := 0; i < len(plain); i++ {
		switch rest := plain[i:]; {
		case bytes.HasPrefix(rest, []byte(`\\n`)):
			text = append(text, '\\', 'n')
			i += 2
		case bytes.HasPrefix(rest, []byte(`\n`)):
			text = append(text, '\n')
			i++
		default:
			text = append(text, rest[0])
		}
	}
	return text, nil
}

// encodeJSONP wraps a payload into the script a JSONP client waits for.
func encodeJSONP(payload []byte, index string) []byte {
	text, _ := json.Marshal(string(payload)) // a string always marshals
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, index)
	return []byte("___eio[" + digits + "](" + string(text) + ");")
}
