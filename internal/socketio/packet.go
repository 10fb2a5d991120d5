package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"rollcall/internal/engineio"
	"rollcall/rooms"
)

// Socket.IO packet types, as they stand on the wire.
const (
	typeConnect      = '0'
	typeDisconnect   = '1'
	typeEvent        = '2'
	typeAck          = '3'
	typeConnectError = '4'
	typeBinaryEvent  = '5'
	typeBinaryAck    = '6'
)

// maxAttachments is Node's own bound for one binary packet.
const maxAttachments = 10

// maxAckID is the largest id that JavaScript counts to exactly.
const maxAckID = 1<<53 - 1

var errPacket = errors.New("invalid packet")

// packet is one decoded Socket.IO packet.
type packet struct {
	kind        byte
	missing     int      // attachments that have not come yet
	attachments [][]byte // those that have; nil for each that is not kept
	attached    int      // bytes that are kept of them
	namespace   string
	hasID       bool
	id          uint64
	data        []byte // the JSON behind the header; empty if there is none
	size        int    // of data before it was cut down; 0: it was not
}

// mainNamespace is the one that exists.
const mainNamespace = "/"

// decodePacket reads `<type>[<n>-][/namespace,][id][json]` and checks it as
// Node does: the JSON must be whole and fit its type. Whether an event's is
// whole, decodeEvent tells.
func decodePacket(b []byte) (packet, error) {
	if len(b) == 0 || b[0] < typeConnect || b[0] > typeBinaryAck {
		return packet{}, errPacket
	}
	p := packet{kind: b[0], namespace: mainNamespace}
	b = b[1:]
	if p.kind == typeBinaryEvent || p.kind == typeBinaryAck {
		count, rest, ok := bytes.Cut(b, []byte{'-'})
		n, err := strconv.ParseUint(string(count), 10, 8)
		if !ok || err != nil || n == 0 || n > maxAttachments {
			return packet{}, errPacket
		}
		p.missing, b = int(n), rest
	}
	if len(b) > 0 && b[0] == '/' {
		namespace, rest, _ := bytes.Cut(b, []byte{','})
		p.namespace, b = string(namespace), rest
	}
	digits := 0
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
		digits++
	}
	if digits > 0 {
		id, err := strconv.ParseUint(string(b[:digits]), 10, 64)
		if err != nil || id > maxAckID {
			return packet{}, errPacket
		}
		p.hasID, p.id, b = true, id, b[digits:]
	}
	p.data = b
	if len(b) > 0 && !fits(p.kind, b) {
		return packet{}, errPacket
	}
	return p, nil
}

// fits tells whether the JSON is whole and of the shape its packet type wants.
// An event's is not looked into here: it is taken apart anyway, or over the rate.
func fits(kind byte, data []byte) bool {
	switch kind {
	case typeConnect:
		return first(data) == '{' && json.Valid(data)
	case typeDisconnect:
		return false
	case typeConnectError:
		return (first(data) == '{' || first(data) == '"') && json.Valid(data)
	case typeEvent:
		return first(data) == '['
	default:
		return first(data) == '[' && json.Valid(data)
	}
}

func first(data []byte) byte {
	data = bytes.TrimLeft(data, " \t\r\n")
	if len(data) == 0 {
		return 0
	}
	return data[0]
}

// decodeEvent takes an event's JSON array apart. A numeric name is legal on the
// wire, as in Node, and stays what it was written as; a reserved one ends the
// connection.
func decodeEvent(data []byte) (name string, args []json.RawMessage, err error) {
	if err := json.Unmarshal(data, &args); err != nil || len(args) == 0 {
		return "", nil, errPacket
	}
	switch c := args[0][0]; {
	case c == '"':
		if json.Unmarshal(args[0], &name) != nil || rooms.Reserved(name) {
			return "", nil, errPacket
		}
	case c == '-' || c >= '0' && c <= '9':
		name = string(args[0])
	default:
		return "", nil, errPacket
	}
	return name, args[1:], nil
}

// eventName is the name alone, of an event that will not be taken: the rest of
// it is not looked at. There is none if it is no string.
func eventName(data []byte) (name string) {
	array := json.NewDecoder(bytes.NewReader(data))
	array.Token()
	first, _ := array.Token()
	name, _ = first.(string)
	return name
}

// appendEvent appends an EVENT packet of the main namespace as one frame.
func appendEvent(b []byte, e rooms.Event) []byte {
	name, _ := json.Marshal(e.Name) // a string always marshals
	parts := make([][]byte, 0, 3+2*len(e.Args))
	parts = append(parts, []byte(`42[`), name)
	for _, arg := range e.Args {
		parts = append(parts, []byte{','}, arg)
	}
	return engineio.AppendText(b, append(parts, []byte{']'})...)
}

// ackFrame is an ACK packet with one argument, a complete JSON value.
func ackFrame(id uint64, arg []byte) []byte {
	head := strconv.AppendUint([]byte("43"), id, 10)
	return engineio.AppendText(nil, head, []byte{'['}, arg, []byte{']'})
}
