package pubsub

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/vmihailenco/msgpack/v5"

	"rollcall/adapter/memory"
	"rollcall/internal/msgjson"
	"rollcall/rooms"
)

// This file is the payload that @socket.io/redis-adapter and
// @socket.io/redis-emitter publish, a MessagePack array of three:
//
//	[uid, {type: 2, data: [event, …args], nsp: "/"}, {rooms: […], except: […], flags: {…}}]
//
// uid is the publisher, so that it knows its own. The flags do not concern us:
// what a client is sent is neither compressed nor dropped because it is slow.

const (
	packetEvent       = 2
	packetBinaryEvent = 5 // older emitters say so of every event
	mainNamespace     = "/"
	// maxDepth bounds how deep a value may be nested: as deep as what a client
	// sends, and the levels that an event of ours adds.
	maxDepth = rooms.MaxDepth + 8
)

var (
	// errNotForUs is a message for others: of another namespace, or our own.
	errNotForUs = errors.New("not for this instance")
	errFormat   = errors.New("it is not what the Socket.IO Redis adapter writes")
)

// encode makes the payload of a message.
func encode(uid string, m rooms.Broadcast) ([]byte, error) {
	var b bytes.Buffer
	p := msgpack.NewEncoder(&b)
	// Writing to a buffer cannot fail; only the arguments can.
	_ = p.EncodeArrayLen(3)
	_ = p.EncodeString(uid)

	_ = p.EncodeMapLen(3)
	_ = p.EncodeString("type")
	_ = p.EncodeInt(packetEvent)
	_ = p.EncodeString("data")
	_ = p.EncodeArrayLen(1 + len(m.Event.Args))
	_ = p.EncodeString(m.Event.Name)
	for _, arg := range m.Event.Args {
		if err := msgjson.Encode(p, arg, maxDepth); err != nil {
			return nil, err
		}
	}
	_ = p.EncodeString("nsp")
	_ = p.EncodeString(mainNamespace)

	_ = p.EncodeMapLen(3)
	_ = p.EncodeString("rooms")
	encodeNames(p, m.Rooms)
	_ = p.EncodeString("except")
	encodeNames(p, m.Except)
	_ = p.EncodeString("flags")
	_ = p.EncodeMapLen(0)
	return b.Bytes(), nil
}

func encodeNames(p *msgpack.Encoder, names []string) {
	_ = p.EncodeArrayLen(len(names))
	for _, name := range names {
		_ = p.EncodeString(name)
	}
}

// decode reads a payload of anybody but self.
func decode(payload []byte, self string) (rooms.Broadcast, error) {
	in := bytes.NewReader(payload)
	p := msgpack.NewDecoder(in)
	if n, err := p.DecodeArrayLen(); err != nil || n != 3 {
		return rooms.Broadcast{}, errFormat
	}
	var uid string
	if err := decodeNext(p, &uid); err != nil {
		return rooms.Broadcast{}, err
	}
	if uid == self {
		return rooms.Broadcast{}, errNotForUs
	}
	packet := struct {
		Type      int
		Namespace string `json:"nsp"`
		Data      []json.RawMessage
		ID        json.RawMessage
	}{Namespace: mainNamespace}
	if err := decodeNext(p, &packet); err != nil {
		return rooms.Broadcast{}, err
	}
	var options struct{ Rooms, Except []roomName }
	if err := decodeNext(p, &options); err != nil {
		return rooms.Broadcast{}, err
	}
	switch {
	case in.Len() > 0:
		return rooms.Broadcast{}, errFormat
	case packet.Namespace != mainNamespace:
		return rooms.Broadcast{}, errNotForUs
	case packet.Type != packetEvent && packet.Type != packetBinaryEvent:
		return rooms.Broadcast{}, errors.New("it is not an event")
	case packet.ID != nil && string(packet.ID) != "null":
		return rooms.Broadcast{}, errors.New("it asks for acknowledgements, which do not travel between servers")
	case len(packet.Data) == 0:
		return rooms.Broadcast{}, errFormat
	}
	b := rooms.Broadcast{Rooms: texts(options.Rooms), Except: texts(options.Except)}
	if err := json.Unmarshal(packet.Data[0], &b.Event.Name); err != nil {
		return rooms.Broadcast{}, errors.New("the event's name is no text")
	}
	b.Event.Args = append(b.Event.Args, packet.Data[1:]...) // nil for none
	return b, memory.CheckMessage(b)
}

// decodeNext reads one value, which must not be nil, into v.
func decodeNext(p *msgpack.Decoder, v any) error {
	text, err := msgjson.Decode(p, maxDepth+2) // an argument lies in a list in an object
	if err != nil {
		if errors.Is(err, msgjson.ErrMalformed) {
			return errFormat
		}
		return err
	}
	if string(text) == "null" || json.Unmarshal(text, v) != nil {
		return errFormat
	}
	return nil
}

// A roomName may be written as a number, which is as good as its digits: to
// JavaScript they are different rooms, to all others one.
type roomName string

// UnmarshalJSON implements json.Unmarshaler.
func (r *roomName) UnmarshalJSON(text []byte) error {
	switch text[0] {
	case '"':
		return json.Unmarshal(text, (*string)(r))
	case '[', '{':
		return errFormat
	}
	*r = roomName(text)
	return nil
}

func texts(names []roomName) (out []string) {
	for _, name := range names {
		out = append(out, string(name))
	}
	return out
}
