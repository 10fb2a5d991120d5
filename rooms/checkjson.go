package rooms

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MaxDepth bounds how deep a JSON value that clients get may be nested: an
// array or object of its own is one level. Ruby's parser stops at 100, and
// lists and events nest the value a few levels deeper.
const MaxDepth = 32

var (
	errTooDeep   = fmt.Errorf("is nested more than %d deep", MaxDepth)
	errNotFinite = errors.New("has a number that does not fit into a 64-bit float")
	errNotText   = errors.New("has text that is not valid Unicode, such as half an emoji")
)

// CheckJSON returns an error unless every JSON parser that receives the value can read
// it: those of Ruby, Python and Rust refuse deep nesting, numbers that are no finite
// double, and lone surrogates. The value must be valid JSON otherwise. The error
// continues a sentence that begins with what the value is.
func CheckJSON(value []byte) error {
	if !utf8.Valid(value) {
		return errNotText // surrogates in UTF-8 are invalid too
	}
	depth := 0
	for i := 0; i < len(value); {
		switch c := value[i]; {
		case c == '"':
			end, ok := skipString(value, i+1)
			if !ok {
				return errNotText
			}
			i = end
		case c == '[' || c == '{':
			if depth++; depth > MaxDepth {
				return errTooDeep
			}
			i++
		case c == ']' || c == '}':
			depth--
			i++
		case c == '-' || '0' <= c && c <= '9':
			end := len(value) - len(bytes.TrimLeft(value[i:], "0123456789.eE+-"))
			if !isFinite(value[i:end]) {
				return errNotFinite
			}
			i = end
		default:
			i++
		}
	}
	return nil
}

// skipString returns the index behind the string whose text starts at i. It is
// not ok if the string has an escaped surrogate without its other half.
func skipString(value []byte, i int) (end int, ok bool) {
	for i < len(value) {
		switch value[i] {
		case '"':
			return i + 1, true
		case '\\':
			unit, escaped := utf16Escape(value[i:])
			switch {
			case !escaped:
				i += 2
			case unit < 0xd800 || unit > 0xdfff:
				i += 6
			default:
				low, escaped := utf16Escape(value[i+6:])
				if unit > 0xdbff || !escaped || low < 0xdc00 || low > 0xdfff {
					return i, false
				}
				i += 12
			}
		default:
			i++
		}
	}
	return i, true
}

// utf16Escape reads \uXXXX at the start of text.
func utf16Escape(text []byte) (unit uint16, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	parsed, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return uint16(parsed), err == nil
}

// isFinite reports whether a number is a finite double. The largest has 309 digits.
func isFinite(literal []byte) bool {
	if len(literal) < 309 && !bytes.ContainsAny(literal, "eE") {
		return true
	}
	_, err := strconv.ParseFloat(string(literal), 64)
	return err == nil
}

// checkValue is CheckJSON with a Refusal; what names the value in its message.
func checkValue(code, what string, value []byte) error {
	if err := CheckJSON(value); err != nil {
		return &Refusal{code, fmt.Sprintf("%s %v.", what, err)}
	}
	return nil
}
