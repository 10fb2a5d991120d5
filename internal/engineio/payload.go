package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"iter"
	"strconv"
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
