package engineio

import (
	"encoding/binary"
	"encoding/json"
	"iter"
	"slices"
)

// A frame is one Engine.IO packet in its WebSocket form: an unmasked header and
// the payload. Frames lie one behind the other in immutable bytes, so that one
// buffer can hold several, be shared by every receiver and be written with one
// call. Polling takes the payloads out again (payloads).

const (
	opText   = 0x81
	opBinary = 0x82
	opClose  = 0x88
	opPong   = 0x8a
)

var (
	closePacket = AppendText(nil, []byte{'1'})
	noopPacket  = AppendText(nil, []byte{'6'})
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

// openPacket is what a client is told first. The order of the fields is Node's:
// some clients search the text instead of parsing it, and expect the sid first.
func (c *Conn) openPacket() []byte {
	upgrades := []string{}
	if c.ws == nil {
		upgrades = append(upgrades, WebSocket)
	}
	hello, _ := json.Marshal(struct { // strings and numbers always marshal
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{c.id, upgrades, c.srv.opts.PingInterval.Milliseconds(), c.srv.opts.PingTimeout.Milliseconds(), c.srv.opts.MaxBody})
	return AppendText(nil, []byte{'0'}, hello)
}
