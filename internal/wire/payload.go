package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
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

// decodePayload takes a polling request's body apart. It reads all of it or
// fails: the library's own reader drops what it does not like.
func decodePayload(body []byte, protocol int, binary bool, limit int) ([]message, error) {
	var list []message
	var err error
	switch {
	case len(body) == 0:
		return nil, errPayload
	case binary:
		list, err = decodeBinaryPayload(body)
	case protocol == 3:
		list, err = decodePayload3([]byte(strings.ToValidUTF8(string(body), "\uFFFD")))
	default:
		body = []byte(strings.ToValidUTF8(string(body), "\uFFFD"))
		for part := range bytes.SplitSeq(body, []byte{0x1e}) {
			list = append(list, message{data: part})
		}
	}
	for i := range list {
		if err == nil {
			err = list[i].unbase64(protocol)
		}
		if len(list[i].data) > limit {
			err = errTooLarge
		}
	}
	return list, err
}

// unbase64 undoes what clients do to binary packets on transports that carry
// text only: "b" and base64, with the packet type between in protocol 3.
func (m *message) unbase64(protocol int) error {
	if m.binary || len(m.data) == 0 || m.data[0] != 'b' {
		return nil
	}
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

// decodePayload3 reads protocol 3's `<length>:<packet>`…; lengths count UTF-16
// units.
func decodePayload3(body []byte) (list []message, err error) {
	for len(body) > 0 {
		length, rest, ok := bytes.Cut(body, []byte{':'})
		units, err := strconv.ParseUint(string(length), 10, 31)
		if !ok || err != nil {
			return nil, errPayload
		}
		n := 0
		for left := int(units); left > 0; {
			r, size := utf8.DecodeRune(rest[n:])
			if size == 0 {
				return nil, errPayload
			}
			n += size
			left--
			if r > 0xffff {
				left--
			}
			if left < 0 { // the length ends inside a surrogate pair
				return nil, errPayload
			}
		}
		if n > 0 {
			list = append(list, message{data: undouble(rest[:n])})
		}
		body = rest[n:]
	}
	return list, nil
}

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

// decodeBinaryPayload reads protocol 3's binary form: for each packet 0 (text)
// or 1 (binary), the length's decimal digits as bytes 0 to 9, 255, the packet.
func decodeBinaryPayload(body []byte) (list []message, err error) {
	for len(body) > 0 {
		kind := body[0]
		end := bytes.IndexByte(body, 255)
		if kind > 1 || end < 2 || end > 11 {
			return nil, errPayload
		}
		n := 0
		for _, digit := range body[1:end] {
			if digit > 9 {
				return nil, errPayload
			}
			n = n*10 + int(digit)
		}
		body = body[end+1:]
		if n > len(body) {
			return nil, errPayload
		}
		data := body[:n]
		if kind == 0 && !utf8.Valid(data) {
			return nil, errPayload
		}
		if n > 0 {
			list = append(list, message{binary: kind == 1, data: data})
		}
		body = body[n:]
	}
	return list, nil
}

// encoding is how a polling client wants its payloads.
type encoding int

const (
	separated encoding = iota // protocol 4: packets between 0x1e
	counted                   // protocol 3 as text: `<length>:<packet>`
	framed                    // protocol 3 as bytes, the form decodeBinaryPayload reads
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

// decodeJSONP undoes the form and the newline escaping of a JSONP request.
func decodeJSONP(body []byte) ([]byte, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("d") {
		return nil, errPayload
	}
	return []byte(unescapeJSONP.Replace(form.Get("d"))), nil
}

// unescapeJSONP: `\n` stands for a newline and `\\n` for `\n`.
var unescapeJSONP = strings.NewReplacer(`\\n`, `\n`, `\n`, "\n")

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
