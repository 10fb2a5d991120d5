package pubsub

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

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
	p := reader{Decoder: msgpack.NewDecoder(in), namespace: mainNamespace}
	n, err := p.DecodeArrayLen()
	if err != nil || n != 3 {
		return rooms.Broadcast{}, errFormat
	}
	switch uid, err := p.text(); {
	case err != nil:
		return rooms.Broadcast{}, errFormat
	case uid == self:
		return rooms.Broadcast{}, errNotForUs
	}
	if err := p.fields(p.packetField); err != nil {
		return rooms.Broadcast{}, err
	}
	if err := p.fields(p.optionField); err != nil {
		return rooms.Broadcast{}, err
	}
	switch {
	case in.Len() > 0:
		return rooms.Broadcast{}, errFormat
	case p.namespace != mainNamespace:
		return rooms.Broadcast{}, errNotForUs
	case p.kind != packetEvent && p.kind != packetBinaryEvent:
		return rooms.Broadcast{}, errors.New("it is not an event")
	case p.wantsAck:
		return rooms.Broadcast{}, errors.New("it asks for acknowledgements, which do not travel between servers")
	case !utf8.ValidString(p.message.Event.Name):
		return rooms.Broadcast{}, errFormat
	}
	return p.message, memory.CheckMessage(p.message)
}

// A reader gathers the fields of a payload.
type reader struct {
	*msgpack.Decoder
	message   rooms.Broadcast
	kind      int64
	namespace string
	wantsAck  bool
}

// fields reads an object, with a call for each field's value.
func (p *reader) fields(read func(name string) error) error {
	n, err := p.DecodeMapLen()
	if err != nil || n < 0 {
		return errFormat
	}
	for range n {
		name, err := p.text()
		if err != nil {
			return errFormat
		}
		if err := read(name); err != nil {
			return err
		}
	}
	return nil
}

func (p *reader) packetField(name string) (err error) {
	switch name {
	case "type":
		if p.kind, err = p.DecodeInt64(); err != nil {
			return errFormat
		}
		return nil
	case "nsp":
		if p.namespace, err = p.text(); err != nil {
			return errFormat
		}
		return nil
	case "data":
		return p.event()
	case "id":
		id, err := msgjson.Decode(p.Decoder, maxDepth)
		p.wantsAck = string(id) != "null"
		return err
	}
	return p.skip()
}

func (p *reader) optionField(name string) (err error) {
	switch name {
	case "rooms":
		p.message.Rooms, err = p.names()
		return err
	case "except":
		p.message.Except, err = p.names()
		return err
	}
	return p.skip()
}

// event reads the array of an event's name and arguments.
func (p *reader) event() error {
	n, err := p.DecodeArrayLen()
	if err != nil || n < 1 {
		return errFormat
	}
	e := rooms.Event{}
	if e.Name, err = p.text(); err != nil {
		return errors.New("the event's name is no text")
	}
	for range n - 1 {
		arg, err := msgjson.Decode(p.Decoder, maxDepth)
		if err != nil {
			return err
		}
		e.Args = append(e.Args, arg)
	}
	p.message.Event = e
	return nil
}

// names reads a list of rooms. A number is as good as its digits: to JavaScript
// they are different rooms, to all others one.
func (p *reader) names() ([]string, error) {
	n, err := p.DecodeArrayLen()
	if err != nil {
		return nil, errFormat
	}
	var names []string
	for range n { // none for nil
		code, err := p.PeekCode()
		if err != nil {
			return nil, errFormat
		}
		var name string
		if msgpcode.IsString(code) {
			name, err = p.DecodeString()
		} else {
			var number []byte
			number, err = msgjson.Decode(p.Decoder, 0)
			name = string(number)
		}
		if err != nil {
			return nil, errFormat
		}
		names = append(names, name)
	}
	return names, nil
}

// text reads a string, and nothing that is only like one.
func (p *reader) text() (string, error) {
	if code, err := p.PeekCode(); err != nil || !msgpcode.IsString(code) {
		return "", errFormat
	}
	return p.DecodeString()
}

// skip leaves out a value. The library's own Skip knows no bound of depth.
func (p *reader) skip() error {
	_, err := msgjson.Decode(p.Decoder, maxDepth)
	return err
}
