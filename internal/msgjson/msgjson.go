// Package msgjson translates between JSON and MessagePack, as JavaScript's
// JSON.stringify and msgpack libraries do. Both directions keep the order of
// keys, which is why neither goes through Go's maps, and integers exactly: 64
// bits signed or unsigned. Every other number is a 64-bit float.
package msgjson

import (
	"bytes"
	"encoding/binary"
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

var (
	// ErrMalformed is for bytes that are not MessagePack.
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
	isArray := msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32
	isObject := msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32
	switch {
	case msgpcode.IsExt(code):
		return d.extension(b)
	case msgpcode.IsBin(code):
		return nil, ErrBinary
	case (isArray || isObject) && maxDepth <= 0:
		return nil, ErrDepth
	case isArray || isObject:
		return d.container(b, isObject, maxDepth-1)
	}
	v, err := d.DecodeInterface()
	if err != nil {
		return nil, ErrMalformed
	}
	return appendScalar(b, v), nil
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
	case msgpcode.IsFixedNum(code) || msgpcode.Uint8 <= code && code <= msgpcode.Int64:
		b, err = d.value(append(b, '"'), 0)
		return append(b, '"'), err
	}
	return nil, errors.New("an object's key is neither a string nor an integer")
}

// appendScalar appends null, a bool, a number or a string as JavaScript writes it.
func appendScalar(b []byte, v any) []byte {
	switch s := v.(type) {
	case string:
		return appendString(b, s)
	case float32:
		v = float64(s)
	}
	text, err := json.Marshal(v)
	if err != nil { // NaN or infinite
		text = []byte("null")
	}
	return append(b, text...)
}

// appendString escapes only what JSON requires: clients get the text as it was sent.
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

// Encode writes one JSON value as MessagePack. Arrays and objects may be nested
// maxDepth deep. After an error, part of the value may have been written.
func Encode(out *msgpack.Encoder, text []byte, maxDepth int) error {
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	if err := encodeValue(out, in, maxDepth); err != nil {
		return err
	}
	if _, err := in.Token(); err != io.EOF {
		return errors.New("something follows the JSON value")
	}
	return nil
}

func encodeValue(out *msgpack.Encoder, in *json.Decoder, maxDepth int) error {
	token, err := in.Token()
	if err != nil {
		return fmt.Errorf("parse JSON: %w", err)
	}
	switch v := token.(type) {
	case json.Delim:
		return encodeContainer(out, in, v == '{', maxDepth)
	case json.Number:
		return encodeNumber(out, string(v))
	}
	return out.Encode(token) // nil, bool, string
}

// encodeContainer writes an array or an object whose first token has been read.
// MessagePack puts the length first, so the elements are encoded apart.
func encodeContainer(out *msgpack.Encoder, in *json.Decoder, isObject bool, maxDepth int) error {
	if maxDepth <= 0 {
		return ErrDepth
	}
	var body bytes.Buffer
	elements := msgpack.NewEncoder(&body)
	n := 0 // keys count, too
	for ; in.More(); n++ {
		if err := encodeValue(elements, in, maxDepth-1); err != nil {
			return err
		}
	}
	_, err := in.Token() // the closing bracket
	if err != nil {
		return fmt.Errorf("parse JSON: %w", err)
	}
	if isObject {
		err = out.EncodeMapLen(n / 2)
	} else {
		err = out.EncodeArrayLen(n)
	}
	if err == nil {
		_, err = out.Writer().Write(body.Bytes())
	}
	return err
}

// encodeNumber keeps an integer of 64 bits as it is. A larger one, and a
// fraction, becomes the nearest float.
func encodeNumber(out *msgpack.Encoder, literal string) error {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil && literal != "-0" {
		return out.EncodeInt(n)
	}
	if n, err := strconv.ParseUint(literal, 10, 64); err == nil {
		return out.EncodeUint(n)
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return errors.New("a number is too large for 64 bits")
	}
	return out.EncodeFloat64(f)
}
