package engineio

import (
	"encoding/binary"
	"iter"
	"slices"
)

// A frame is one Engine.IO packet in its WebSocket form: an unmasked header and
// the payload. Frames lie one behind the other in immutable bytes, so that one
// buffer can hold several, be shared by every receiver and be written with one
// call. Polling takes the payloads out again (payloads).

const (
	opContinuation = 0 // a fragment that is not a message's first one, without the final bit
	opText         = 0x81
	opBinary       = 0x82
	opClose        = 0x88
	opPong         = 0x8a
)

var (
	closePacket = NewRun(AppendText(nil, []byte{'1'}))
	pingPacket  = NewRun(AppendText(nil, []byte{'2'}))
	pongPacket  = NewRun(AppendText(nil, []byte{'3'}))
	noopPacket  = NewRun(AppendText(nil, []byte{'6'}))
	closeFrame  = appendFrame(nil, opClose)
)

// AppendBinary appends a binary message for clients of a protocol as one frame.
func AppendBinary(b []byte, protocol int, message []byte) []byte {
	if protocol == 3 {
		return appendFrame(b, opBinary, []byte{4}, message)
	}
	return appendFrame(b, opBinary, message)
}

// AppendText appends a packet of text, made of parts, as one frame. A message's
// type, '4', is the first part's first byte.
func AppendText(b []byte, parts ...[]byte) []byte { return appendFrame(b, opText, parts...) }

// appendFrame appends a frame that holds the payload's parts.
func appendFrame(b []byte, op byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b = slices.Grow(b, n+10) // the longest header; growing with the parts would leave a quarter unused
	b = append(b, op)
	switch {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, 127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// payloads yields each frame's opcode and payload, in order.
func payloads(frames []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for len(frames) > 0 {
			n, head, _ := parseHead(frames)
			end := head + int(n)
			if !yield(frames[0], frames[head:end]) {
				return
			}
			frames = frames[end:]
		}
	}
}

// parseHead reads the header of a frame up to its mask: the payload's length and the
// header's. It reports false while there is more of it to come.
func parseHead(b []byte) (length int64, head int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch n := b[1] & 0x7f; {
	case n < 126:
		return int64(n), 2, true
	case n == 126 && len(b) >= 4:
		return int64(binary.BigEndian.Uint16(b[2:])), 4, true
	case n == 127 && len(b) >= 10:
		return int64(binary.BigEndian.Uint64(b[2:])), 10, true
	}
	return 0, 0, false
}
