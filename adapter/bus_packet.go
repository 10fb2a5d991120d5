package adapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"rollcall/rooms"
)

// This file is the payload that @socket.io/redis-adapter and
// @socket.io/redis-emitter publish, a MessagePack array of three:
//
//	[uid, {type: 2, data: [event, …args], nsp: "/"}, {rooms: […], except: […], flags: {…}}]
//
// uid is the publisher, so that it knows its own. Of the flags none concerns us:
// what a client is sent is neither compressed nor lost for being slow.

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
	errNotForUs  = errors.New("not for this instance")
	errMalformed = errors.New("it is not what the Socket.IO Redis adapter writes")
	errBinary    = errors.New("it has binary data, which these clients get as JSON only")
	errDepth     = fmt.Errorf("it is nested more than %d deep", maxDepth)
)

// encodePacket makes the payload of a message.
func encodePacket(uid string, m rooms.Message) ([]byte, error) {
	data := []any{m.Event.Name}
	for _, arg := range m.Event.Args {
		v, err := parseJSON(arg)
		if err != nil {
			return nil, err
		}
		data = append(data, v)
	}
	var b bytes.Buffer
	err := packValue(msgpack.NewEncoder(&b), []any{
		uid,
		object{{"type", json.Number(strconv.Itoa(packetEvent))}, {"data", data}, {"nsp", mainNamespace}},
		object{{"rooms", stringsOf(m.Rooms)}, {"except", stringsOf(m.Except)}, {"flags", object{}}},
	})
	return b.Bytes(), err
}

func stringsOf(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// decodePacket reads a payload of anybody but self.
func decodePacket(payload []byte, self string) (rooms.Message, error) {
	in := bytes.NewReader(payload)
	p := packetReader{unpacker: unpacker{msgpack.NewDecoder(in)}, namespace: mainNamespace}
	n, err := p.DecodeArrayLen()
	if err != nil || n != 3 {
		return rooms.Message{}, errMalformed
	}
	switch uid, err := p.text(); {
	case err != nil:
		return rooms.Message{}, errMalformed
	case uid == self:
		return rooms.Message{}, errNotForUs
	}
	if err := p.fields(p.packetField); err != nil {
		return rooms.Message{}, err
	}
	if err := p.fields(p.optionField); err != nil {
		return rooms.Message{}, err
	}
	switch {
	case in.Len() > 0:
		return rooms.Message{}, errMalformed
	case p.namespace != mainNamespace:
		return rooms.Message{}, errNotForUs
	case p.kind != packetEvent && p.kind != packetBinaryEvent:
		return rooms.Message{}, errors.New("it is not an event")
	case p.wantsAck:
		return rooms.Message{}, errors.New("it asks for acknowledgements, which do not travel between servers")
	}
	return p.message, checkTaken(p.message)
}

// checkTaken says why a message from elsewhere cannot be brought to clients.
func checkTaken(m rooms.Message) error {
	if !utf8.ValidString(m.Event.Name) {
		return errMalformed
	}
	return checkMessage(m)
}

// A packetReader gathers the fields of a payload.
type packetReader struct {
	unpacker
	message   rooms.Message
	kind      int64
	namespace string
	wantsAck  bool
}

// fields reads an object, with a call for each field's value.
func (p *packetReader) fields(read func(name string) error) error {
	n, err := p.DecodeMapLen()
	if err != nil || n < 0 {
		return errMalformed
	}
	for range n {
		name, err := p.text()
		if err != nil {
			return errMalformed
		}
		if err := read(name); err != nil {
			return err
		}
	}
	return nil
}

func (p *packetReader) packetField(name string) (err error) {
	switch name {
	case "type":
		if p.kind, err = p.DecodeInt64(); err != nil {
			return errMalformed
		}
		return nil
	case "nsp":
		if p.namespace, err = p.text(); err != nil {
			return errMalformed
		}
		return nil
	case "data":
		return p.event()
	case "id":
		id, err := p.appendJSON(nil, 0)
		p.wantsAck = string(id) != "null"
		return err
	}
	return p.skip()
}

func (p *packetReader) optionField(name string) (err error) {
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
func (p *packetReader) event() error {
	n, err := p.DecodeArrayLen()
	if err != nil || n < 1 {
		return errMalformed
	}
	e := rooms.Event{}
	if e.Name, err = p.text(); err != nil {
		return errNoName
	}
	for range n - 1 {
		arg, err := p.appendJSON(nil, 0)
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
func (p *packetReader) names() ([]string, error) {
	n, err := p.DecodeArrayLen()
	if err != nil {
		return nil, errMalformed
	}
	var names []string
	for range n { // none for nil
		code, err := p.PeekCode()
		if err != nil {
			return nil, errMalformed
		}
		var name string
		if msgpcode.IsString(code) {
			name, err = p.DecodeString()
		} else {
			var number []byte
			number, err = p.appendJSON(nil, maxDepth)
			name = string(number)
		}
		if err != nil {
			return nil, errMalformed
		}
		names = append(names, name)
	}
	return names, nil
}

// text reads a string, and nothing that is only like one.
func (p *packetReader) text() (string, error) {
	if code, err := p.PeekCode(); err != nil || !msgpcode.IsString(code) {
		return "", errMalformed
	}
	return p.DecodeString()
}

// skip leaves out a value. The library's own Skip knows no bound of depth.
func (p *packetReader) skip() error {
	_, err := p.appendJSON(nil, 0)
	return err
}
