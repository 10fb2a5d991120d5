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
// By its uid a publisher recognizes its own messages. The flags are ignored: nothing
// is compressed, or dropped for a client that is slow.

const (
	packetEvent       = 2
	packetBinaryEvent = 5 // older emitters say so of every event
	mainNamespace     = "/"
	// maxDepth bounds how deep a value may be nested: as deep as the values of clients,
	// and the levels that our own events add.
	maxDepth = rooms.MaxDepth + 8
)

var (
	// errNotForUs is a message for others: of another namespace, or our own.
	errNotForUs = errors.New("not for this instance")
	errFormat   = errors.New("it is not what the Socket.IO Redis adapter writes")
)

// encode makes the payload of a message.
func encode(uid string, m rooms.Broadcast) ([]byte, error) {
	data := []any{m.Event.Name}
	for _, arg := range m.Event.Args {
		var b bytes.Buffer
		if err := msgjson.Encode(msgpack.NewEncoder(&b), arg, maxDepth); err != nil {
			return nil, err
		}
		data = append(data, msgpack.RawMessage(b.Bytes()))
	}
	type packet struct {
		Type      int    `msgpack:"type"`
		Data      []any  `msgpack:"data"`
		Namespace string `msgpack:"nsp"`
	}
	type options struct {
		Rooms  []string `msgpack:"rooms"`
		Except []string `msgpack:"except"`
		Flags  struct{} `msgpack:"flags"`
	}
	return msgpack.Marshal([]any{
		uid,
		packet{packetEvent, data, mainNamespace},
		options{Rooms: append([]string{}, m.Rooms...), Except: append([]string{}, m.Except...)}, // never nil
	})
}

// decode reads a payload of any publisher but self.
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
