package adapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// This file turns JSON into MessagePack and back. Both keep the order of keys,
// which is why neither goes through Go's maps, and integers exactly: 64 bits
// signed or unsigned. Every other number is a 64-bit float, as in JavaScript.

// An object is a JSON object in its order. Parsed values are nil, bool, string,
// json.Number, []any and object.
type object []field

type field struct {
	name  string
	value any
}

// parseJSON reads one JSON value.
func parseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("parse JSON: %w", err)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth >= maxDepth {
		return nil, errDepth
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token() // its end
		return list, err
	}
	fields := object{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := parseValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field{name.(string), v}) // the decoder lets nothing else pass
	}
	_, err = d.Token()
	return fields, err
}

// packValue writes a parsed value as MessagePack.
func packValue(e *msgpack.Encoder, value any) error {
	switch v := value.(type) {
	case json.Number:
		return packNumber(e, string(v))
	case []any:
		if err := e.EncodeArrayLen(len(v)); err != nil {
			return err
		}
		for _, element := range v {
			if err := packValue(e, element); err != nil {
				return err
			}
		}
		return nil
	case object:
		if err := e.EncodeMapLen(len(v)); err != nil {
			return err
		}
		for _, f := range v {
			if err := e.EncodeString(f.name); err != nil {
				return err
			}
			if err := packValue(e, f.value); err != nil {
				return err
			}
		}
		return nil
	}
	return e.Encode(value) // nil, bool, string
}

// packNumber keeps an integer of 64 bits as it is. What is larger, or no
// integer, becomes the nearest float.
func packNumber(e *msgpack.Encoder, literal string) error {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil && literal != "-0" {
		return e.EncodeInt(n)
	}
	if n, err := strconv.ParseUint(literal, 10, 64); err == nil {
		return e.EncodeUint(n)
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return errors.New("a number is too large for 64 bits")
	}
	return e.EncodeFloat64(f)
}

// An unpacker turns MessagePack into JSON, with what JavaScript's
// JSON.stringify makes of the same values: dates are ISO 8601 strings, and what
// is no number is null.
type unpacker struct{ *msgpack.Decoder }

// appendJSON appends the next value, which lies depth deep, to b.
func (u unpacker) appendJSON(b []byte, depth int) ([]byte, error) {
	code, err := u.PeekCode()
	if err != nil {
		return nil, errMalformed
	}
	switch {
	case code == msgpcode.Nil:
		return append(b, "null"...), u.DecodeNil()
	case code == msgpcode.True || code == msgpcode.False:
		v, err := u.DecodeBool()
		return strconv.AppendBool(b, v), err
	case code == msgpcode.Uint64:
		v, err := u.DecodeUint64()
		return strconv.AppendUint(b, v, 10), err
	case isInteger(code):
		v, err := u.DecodeInt64()
		return strconv.AppendInt(b, v, 10), err
	case code == msgpcode.Float:
		v, err := u.DecodeFloat32()
		return appendFloat(b, float64(v)), err
	case code == msgpcode.Double:
		v, err := u.DecodeFloat64()
		return appendFloat(b, v), err
	case msgpcode.IsString(code):
		v, err := u.DecodeString()
		return appendString(b, v), err
	case msgpcode.IsExt(code):
		return u.appendExtension(b)
	case msgpcode.IsBin(code):
		return nil, errBinary
	case depth >= maxDepth:
		return nil, errDepth
	case msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32:
		return u.appendArray(b, depth)
	case msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32:
		return u.appendObject(b, depth)
	}
	return nil, errMalformed // the one code that means nothing
}

func isInteger(code byte) bool {
	return msgpcode.IsFixedNum(code) || msgpcode.Uint8 <= code && code <= msgpcode.Int64
}

func (u unpacker) appendArray(b []byte, depth int) ([]byte, error) {
	n, err := u.DecodeArrayLen()
	if err != nil {
		return nil, errMalformed
	}
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = u.appendJSON(b, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (u unpacker) appendObject(b []byte, depth int) ([]byte, error) {
	n, err := u.DecodeMapLen()
	if err != nil {
		return nil, errMalformed
	}
	b = append(b, '{')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = u.appendKey(b); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = u.appendJSON(b, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendKey appends an object's key, which may also be an integer.
func (u unpacker) appendKey(b []byte) ([]byte, error) {
	code, err := u.PeekCode()
	switch {
	case err != nil:
		return nil, errMalformed
	case msgpcode.IsString(code):
		return u.appendJSON(b, 0)
	case isInteger(code):
		b, err = u.appendJSON(append(b, '"'), 0)
		return append(b, '"'), err
	}
	return nil, errors.New("an object's key is neither a string nor an integer")
}

func appendFloat(b []byte, f float64) []byte {
	text, err := json.Marshal(f) // as JavaScript writes it
	if err != nil {              // NaN or infinite
		text = []byte("null")
	}
	return append(b, text...)
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}

// What MessagePack's extensions mean: timestamps, and two of JavaScript's own
// values as older adapters wrote them.
const (
	extTimestamp = -1
	extLegacy    = 0
)

func (u unpacker) appendExtension(b []byte) ([]byte, error) {
	id, size, err := u.DecodeExtHeader()
	if err != nil || size > 16 {
		return nil, errBinary
	}
	data := make([]byte, size)
	if err := u.ReadFull(data); err != nil {
		return nil, errMalformed
	}
	number := func(from, to int) (n uint64) {
		for _, c := range data[from:to] {
			n = n<<8 | uint64(c)
		}
		return n
	}
	switch {
	case id == extTimestamp && size == 4:
		return appendDate(b, time.Unix(int64(number(0, 4)), 0))
	case id == extTimestamp && size == 8:
		n := number(0, 8)
		return appendDate(b, time.Unix(int64(n&(1<<34-1)), int64(n>>34)))
	case id == extTimestamp && size == 12:
		return appendDate(b, time.Unix(int64(number(4, 12)), int64(number(0, 4))))
	case id == extLegacy && size == 8:
		return appendDate(b, time.UnixMilli(int64(number(0, 8))))
	case id == extLegacy && size == 1: // undefined
		return append(b, "null"...), nil
	}
	return nil, errBinary
}

func appendDate(b []byte, t time.Time) ([]byte, error) {
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return nil, errors.New("a date is out of range")
	}
	return t.AppendFormat(b, `"2006-01-02T15:04:05.000Z"`), nil
}
