package engineio

import (
	"bytes"
	"encoding/json"
	"strings"
)

// This file is polling by script, which some old clients do across origins: forms
// in, calls of a function out.

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
