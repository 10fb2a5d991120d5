package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A message is one Engine.IO packet as it came in: text with its type in front,
// or binary.
type message struct {
	binary bool
	data   []byte
}

var (
	errPayload  = errors.New("invalid payload")
	errTooLarge = errors.New("a message is too large")
)

// maxEmpty is how many empty packets one body of protocol 3 may hold. Node skips
// them, and no client sends any.
const maxEmpty = 16

// packets takes a polling request's body apart, one packet at a time, so that a
// body costs little more than its own size however many packets it claims to
// hold. The first packet that is wrong comes with an error and is the last. A
// packet aliases the body and is valid until the next one.
func packets(body []byte, protocol int, binary bool, limit int) iter.Seq2[message, error] {
	next := separatedPacket
	switch {
	case binary:
		next = framedPacket
	case protocol == 3:
		next = countedPacket
		if !utf8.Valid(body) {
			body = bytes.ToValidUTF8(body, replacement)
		}
	}
	return func(yield func(message, error) bool) {
		for empty, more := 0, true; more; {
			var m message
			var err error
			m, body, more, err = next(body)
			if err == nil {
				err = m.decode(protocol, limit)
			}
			if protocol == 3 && err == nil && len(m.data) == 0 {
				if empty++; empty <= maxEmpty {
					continue
				}
				err = errPayload
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

var replacement = []byte("\uFFFD")

// decode turns a packet into what a WebSocket would have brought, and checks its
// size before and after: repairing text can make it longer, decoding shorter.
func (m *message) decode(protocol, limit int) error {
	if len(m.data) > 2*limit {
		return errTooLarge
	}
	switch {
	case m.binary:
	case len(m.data) > 0 && m.data[0] == 'b':
		if err := m.unbase64(protocol); err != nil {
			return err
		}
	case protocol == 3:
		m.data = undouble(m.data)
	case !utf8.Valid(m.data):
		m.data = bytes.ToValidUTF8(m.data, replacement)
	}
	if len(m.data) > limit {
		return errTooLarge
	}
	return nil
}

// unbase64 undoes what clients do to binary packets on transports that carry
// text only: "b" and base64, with the packet type between in protocol 3.
func (m *message) unbase64(protocol int) error {
	coded := m.data[1:]
	var head []byte
	if protocol == 3 {
		if len(coded) == 0 {
			return errPayload
		}
		head, coded = []byte{coded[0] - '0'}, coded[1:]
	}
	data, err := base64.StdEncoding.AppendDecode(head, coded)
	m.binary, m.data = true, data
	return err
}

// separatedPacket reads protocol 4's form, packets between 0x1e. There is always
// one, even if it is empty.
func separatedPacket(body []byte) (m message, rest []byte, more bool, err error) {
	data, rest, more := bytes.Cut(body, []byte{0x1e})
	return message{data: data}, rest, more, nil
}

// countedPacket reads protocol 3's `<length>:<packet>`…; lengths count UTF-16
// units.
func countedPacket(body []byte) (m message, rest []byte, more bool, err error) {
	length, _, ok := bytes.Cut(body[:min(len(body), maxLength)], []byte{':'})
	units, err := strconv.ParseUint(string(length), 10, 31)
	if !ok || err != nil {
		return message{}, nil, false, errPayload
	}
	rest = body[len(length)+1:]
	n := 0
	for left := int(units); left > 0; {
		r, size := utf8.DecodeRune(rest[n:])
		if size == 0 {
			return message{}, nil, false, errPayload
		}
		n += size
		left--
		if r > 0xffff {
			left--
		}
		if left < 0 { // the length ends inside a surrogate pair
			return message{}, nil, false, errPayload
		}
	}
	return message{data: rest[:n]}, rest[n:], len(rest) > n, nil
}

// maxLength is how many bytes a length and its colon may take: no body is so long
// that it needs more, but zeros in front are allowed.
const maxLength = 1 << 10

// undouble repairs what 1.x clients do over polling: they encode text as UTF-8
// twice, which a 2.x client does not, and both say EIO=3. Text whose characters
// all fit in a byte and whose bytes are UTF-8 of more than ASCII was doubled:
// by chance alone nobody writes that.
func undouble(text []byte) []byte {
	single := make([]byte, 0, len(text))
	wide := false
	for _, r := range string(text) {
		if r > 0xff {
			return text
		}
		wide = wide || r > 0x7f
		single = append(single, byte(r))
	}
	if !wide || !utf8.Valid(single) {
		return text
	}
	return single
}

// framedPacket reads protocol 3's binary form: for each packet 0 (text) or 1
// (binary), the length's decimal digits as bytes 0 to 9, 255, the packet.
func framedPacket(body []byte) (m message, rest []byte, more bool, err error) {
	bad := func() (message, []byte, bool, error) { return message{}, nil, false, errPayload }
	if len(body) == 0 {
		return bad()
	}
	kind := body[0]
	end := bytes.IndexByte(body[:min(len(body), 12)], 255)
	if kind > 1 || end < 2 {
		return bad()
	}
	n := 0
	for _, digit := range body[1:end] {
		if digit > 9 {
			return bad()
		}
		n = n*10 + int(digit)
	}
	body = body[end+1:]
	if n > len(body) {
		return bad()
	}
	data := body[:n]
	if kind == 0 && !utf8.Valid(data) {
		return bad()
	}
	return message{binary: kind == 1, data: data}, body[n:], len(body) > n, nil
}

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
			if len(value) < i+3 || !isHex(value[i+1]) || !isHex(value[i+2]) {
				return nil, errPayload
			}
			c = unhex(value[i+1])<<4 | unhex(value[i+2])
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

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
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
