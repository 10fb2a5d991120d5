package wire

import (
	"encoding/binary"
	"encoding/json"
	"iter"
	"slices"
	"strconv"

	"rollcall/rooms"
)

// A frame is one Engine.IO packet in its WebSocket form: an unmasked header and
// the payload. Frames lie one behind the other in immutable bytes, so that one
// buffer can hold a whole flush, be shared by every receiver and be written
// with one call. Polling takes the payloads out again (payloads).

const (
	opText   = 0x81
	opBinary = 0x82
	opClose  = 0x88
	opPong   = 0x8a
)

// maxHead is the longest header of a frame that we send.
const maxHead = 10

// appendFrame appends a frame that holds the payload's parts.
func appendFrame(b []byte, op byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b = slices.Grow(b, n+maxHead) // growing with the parts would leave it a quarter too large
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
			op, n, head := frames[0], int(frames[1]), 2
			switch n {
			case 126:
				n, head = int(binary.BigEndian.Uint16(frames[2:])), 4
			case 127:
				n, head = int(binary.BigEndian.Uint64(frames[2:])), 10
			}
			if !yield(op, frames[head:head+n]) {
				return
			}
			frames = frames[head+n:]
		}
	}
}

// appendEvent appends an EVENT packet of the main namespace as one frame.
func appendEvent(b []byte, e rooms.Event) []byte {
	name, _ := json.Marshal(e.Name) // a string always marshals
	parts := make([][]byte, 0, 3+2*len(e.Args))
	parts = append(parts, []byte(`42[`), name)
	for _, arg := range e.Args {
		parts = append(parts, []byte{','}, arg)
	}
	return appendFrame(b, opText, append(parts, []byte{']'})...)
}

// ackFrame is an ACK packet with one argument, a complete JSON value.
func ackFrame(id uint64, arg []byte) []byte {
	head := strconv.AppendUint([]byte("43"), id, 10)
	return appendFrame(nil, opText, head, []byte{'['}, arg, []byte{']'})
}
