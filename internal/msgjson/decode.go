// Package msgjson translates between JSON and MessagePack, as JavaScript's
// JSON.stringify and msgpack libraries do. Both directions keep the order of
// keys, which is why neither goes through Go's maps, and integers exactly: 64
// bits signed or unsigned. Every other number is a 64-bit float.
package msgjson

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

var (
	// ErrMalformed is for what is not MessagePack.
	ErrMalformed = errors.New("it is malformed MessagePack")
	// ErrBinary is for binary data and extensions that JSON has no form for.
	ErrBinary = errors.New("it has binary data, which clients get as JSON only")
	// ErrDepth is for arrays and objects that are nested too deep.
	ErrDepth = errors.New("it is nested too deep")
)

// Decode reads one MessagePack value and returns it as JSON, with what
// JSON.stringify makes of the same values: dates are ISO 8601 strings, undefined
// and what is no number are null. Arrays and objects may be nested maxDepth
// deep: 0 lets none pass.
func Decode(in *msgpack.Decoder, maxDepth int) (json.RawMessage, error) {
	return decoder{in}.value(nil, maxDepth)
}

type decoder struct{ *msgpack.Decoder }

// value appends the next value to b.
func (d decoder) value(b []byte, maxDepth int) ([]byte, error) {
	code, err := d.PeekCode()
	if err != nil {
		return nil, ErrMalformed
	}
	switch {
	case code == msgpcode.Nil:
		return append(b, "null"...), d.DecodeNil()
	case code == msgpcode.True || code == msgpcode.False:
		v, err := d.DecodeBool()
		return strconv.AppendBool(b, v), err
	case code == msgpcode.Uint64:
		v, err := d.DecodeUint64()
		return strconv.AppendUint(b, v, 10), err
	case isInteger(code):
		v, err := d.DecodeInt64()
		return strconv.AppendInt(b, v, 10), err
	case code == msgpcode.Float:
		v, err := d.DecodeFloat32()
		return appendFloat(b, float64(v)), err
	case code == msgpcode.Double:
		v, err := d.DecodeFloat64()
		return appendFloat(b, v), err
	case msgpcode.IsString(code):
		v, err := d.DecodeString()
		return appendString(b, v), err
	case msgpcode.IsExt(code):
		return d.extension(b)
	case msgpcode.IsBin(code):
		return nil, ErrBinary
	case maxDepth <= 0:
		return nil, ErrDepth
	case msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32:
		return d.container(b, false, maxDepth-1)
	case msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32:
		return d.container(b, true, maxDepth-1)
	}
	return nil, ErrMalformed // the one code that means nothing
}

func isInteger(code byte) bool {
	return msgpcode.IsFixedNum(code) || msgpcode.Uint8 <= code && code <= msgpcode.Int64
}

// container appends an array or an object.
func (d decoder) container(b []byte, isObject bool, maxDepth int) ([]byte, error) {
	length, brackets := d.DecodeArrayLen, "[]"
	if isObject {
		length, brackets = d.DecodeMapLen, "{}"
	}
	n, err := length()
	if err != nil {
		return nil, ErrMalformed
	}
	b = append(b, brackets[0])
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if isObject {
			if b, err = d.key(b); err != nil {
				return nil, err
			}
			b = append(b, ':')
		}
		if b, err = d.value(b, maxDepth); err != nil {
			return nil, err
		}
	}
	return append(b, brackets[1]), nil
}

// key appends an object's key, which may also be an integer.
func (d decoder) key(b []byte) ([]byte, error) {
	code, err := d.PeekCode()
	switch {
	case err != nil:
		return nil, ErrMalformed
	case msgpcode.IsString(code):
		return d.value(b, 0)
	case isInteger(code):
		b, err = d.value(append(b, '"'), 0)
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

// The extensions that JSON has a form for: timestamps, and two of JavaScript's
// own values as older adapters wrote them.
const (
	extTimestamp = -1
	extLegacy    = 0
)

func (d decoder) extension(b []byte) ([]byte, error) {
	id, size, err := d.DecodeExtHeader()
	if err != nil || size > 16 {
		return nil, ErrBinary
	}
	data := make([]byte, size)
	if err := d.ReadFull(data); err != nil {
		return nil, ErrMalformed
	}
	switch {
	case id == extTimestamp && size == 4:
		return appendDate(b, time.Unix(int64(binary.BigEndian.Uint32(data)), 0))
	case id == extTimestamp && size == 8:
		n := binary.BigEndian.Uint64(data)
		return appendDate(b, time.Unix(int64(n&(1<<34-1)), int64(n>>34)))
	case id == extTimestamp && size == 12:
		return appendDate(b, time.Unix(int64(binary.BigEndian.Uint64(data[4:])), int64(binary.BigEndian.Uint32(data))))
	case id == extLegacy && size == 8:
		return appendDate(b, time.UnixMilli(int64(binary.BigEndian.Uint64(data))))
	case id == extLegacy && size == 1: // undefined
		return append(b, "null"...), nil
	}
	return nil, ErrBinary
}

func appendDate(b []byte, t time.Time) ([]byte, error) {
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return nil, errors.New("a date is out of range")
	}
	return t.AppendFormat(b, `"2006-01-02T15:04:05.000Z"`), nil
}
