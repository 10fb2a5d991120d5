package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"rollcall/internal/memory"
	"rollcall/rooms"
)

// emit broadcasts an event to the clients of every instance.
func (a *api) emit(w http.ResponseWriter, r *http.Request) {
	body, release, err := a.Inbound.ReadBody(w, r, a.MaxBody, readTimeout)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		fail(w, http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("The body may have %d bytes: see MAX_MESSAGE.", a.MaxBody))
		return
	case errors.Is(err, memory.ErrFull):
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, "busy", "Too much is being received: try again in a second.")
		return
	case err != nil:
		fail(w, http.StatusBadRequest, "bad_json", "The body did not arrive in full.")
		return
	}
	defer release()
	message, err := parseEmit(body)
	if err == nil {
		err = a.Rooms.Emit(message)
	}
	var refusal *rooms.Refusal
	switch {
	case errors.As(err, &refusal):
		fail(w, http.StatusBadRequest, refusal.Code, refusal.Message)
	case err != nil:
		fail(w, http.StatusServiceUnavailable, "unavailable", "The event cannot be sent now.")
	default:
		a.Log.Info("the API sent an event", "event", clip(message.Event.Name), "to", clip(strings.Join(message.Rooms, " ")), "address", a.Address(r))
		answer(w, struct {
			OK bool `json:"ok"`
		}{true})
	}
}

func refuse(code, format string, args ...any) error {
	return &rooms.Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

// parseEmit reads an event and its recipients. The arguments stay as they are, byte
// for byte. Its errors are refusals.
func parseEmit(body []byte) (rooms.Broadcast, error) {
	var m rooms.Broadcast
	if !utf8.Valid(body) || !json.Valid(body) {
		return m, refuse("bad_json", "The body is not JSON.")
	}
	f, err := object(body, "event", "args", "to")
	if err != nil {
		return m, refuse("bad_json", "The body %v.", err)
	}
	// Unmarshal would take null for a text and for an array.
	if event := f["event"]; !isString(event) || json.Unmarshal(event, &m.Event.Name) != nil {
		return m, refuse("bad_event", "event must be a text.")
	}
	if args, ok := f["args"]; ok && (args[0] != '[' || json.Unmarshal(args, &m.Event.Args) != nil) {
		return m, refuse("bad_args", "args must be an array.")
	}
	for i, arg := range m.Event.Args {
		if err := rooms.CheckJSON(arg); err != nil {
			return m, refuse("bad_args", "args[%d] %v.", i, err)
		}
	}
	m.Rooms, err = parseTo(f["to"])
	return m, err
}

// parseTo reads the recipients: everybody (null or absent), a room's members, or a
// user.
func parseTo(to json.RawMessage) ([]string, error) {
	if len(to) == 0 || string(to) == "null" {
		return nil, nil
	}
	f, err := object(to, "room", "user")
	if err != nil {
		return nil, refuse("bad_to", "to %v.", err)
	}
	if len(f) != 1 {
		return nil, refuse("bad_to", "to must be null or have either room or user.")
	}
	if room, ok := f["room"]; ok {
		name, err := nameIn(room, "room", maxRoom)
		return []string{rooms.RoomList(name)}, err
	}
	id, err := nameIn(f["user"], "user", maxID)
	return []string{rooms.UserRoom(id)}, err
}

// whole matches whole numbers, the only ones that every language writes alike: as ids
// others could differ.
var whole = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// nameIn reads a room or a user's id: a string, or a whole number as text.
func nameIn(value json.RawMessage, what string, limit int) (string, error) {
	name := string(value)
	if isString(value) {
		name = ""
		_ = json.Unmarshal(value, &name) // is valid JSON
	} else if !whole.Match(value) {
		return "", refuse("bad_to", "%s must be a text or a whole number.", what)
	}
	// json.Unmarshal replaced half a surrogate pair by this rune: it was another name.
	if name == "" || len(name) > limit || strings.ContainsRune(name, utf8.RuneError) {
		return "", refuse("bad_to", "%s", badName(what, limit))
	}
	return name, nil
}

func isString(value json.RawMessage) bool { return len(value) > 0 && value[0] == '"' }

// object reads a JSON object that has only these fields, each once at most; data is valid
// JSON. A struct would also take "Event" for "event" and the last of two "to". The error
// continues a sentence.
func object(data []byte, known ...string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if start, _ := d.Token(); start != json.Delim('{') {
		return nil, errors.New("must be an object")
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		token, _ := d.Token()
		name, _ := token.(string)
		var value json.RawMessage
		_ = d.Decode(&value)
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("has %s twice", name)
		}
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("has the unknown field %.64q", name)
		}
		fields[name] = value
	}
	return fields, nil
}
