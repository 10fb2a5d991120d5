package msgjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"
)

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
