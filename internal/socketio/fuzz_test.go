package socketio

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	testclient "rollcall/e2e/client"
	"rollcall/internal/engineio"
	"rollcall/rooms"
)

// FuzzSession plays a whole session: the first byte chooses protocol and
// transport, the rest are frames, cut at 0xff; a frame that begins with 0xfe is
// sent as binary. Whatever they are, the server must not panic, must not hang,
// and must go on serving another client; the session must end with its
// connection.
func FuzzSession(f *testing.F) {
	frames := []string{
		`40`, `40{}`, `40{"a":1}`, `40[]`, `40"x"`, `40null`, `4`, `40/x,`, `40/x,{}`, `40/?a=b,`, `40x`,
		`41`, `41{}`, `41/x,`, `42`, `42[]`, `42["mark",1]`, `42{}`, `42["mark"`, `42["mark",1]x`, `42["connect"]`,
		`42["newListener"]`, `42[7]`, `42[null]`, `42[["mark"]]`, `42/x,["mark",1]`, `421["marks"]`, `421`,
		`42` + strings.Repeat("9", 40) + `["marks"]`, `42-1["marks"]`, `43`, `431`, `431[]`, `431["x"]`, `43{}`, `44`, `44{}`, `44"x"`,
		`45`, `450-`, `451-["mark",{"_placeholder":true,"num":0}]`, `459999999999-["mark"]`, `45-["mark"]`, `452-3["mark"]`,
		`46`, `460-`, `461-1[{"_placeholder":true,"num":0}]`, `47`, `4 `, ``, `0`, `1`, `2`, `2probe`, `3`, `3probe`, `5`, `6`, `7`, `x`, `b`, `bAAAA`, `b4AAAA`, `b####`,
		"\xfeabc", "\xfe", "\xfe\x04abc", "\xfe\x02", "42[\"mark\",\"\xc3\x28\"]", "4\xf0",
		`42["mark",` + strings.Repeat("[", 12_000) + strings.Repeat("]", 12_000) + `]`,
		`42["mark","` + strings.Repeat("x", 70_000) + `"]`,
		`42["close"]`, `42["burst",100]`, `42["big",100000]`,
		"1:4", "0:", ":", "-1:4", "99999999999:4", "3:42[", "2:\xf0\x9f\x98\x80", "\x00\x01\xff4", "\x01\x09\x09\x09\xff", "40\x1e42[\"mark\",1]\x1e\x1e",
		"d=42", "d=2%3A40",
	}
	for mode := range byte(6) {
		for _, frame := range frames {
			f.Add(append([]byte{mode}, frame...))
			f.Add(append([]byte{mode}, "40\xff42[\"mark\",1]\xff"+frame+"\xff421[\"marks\"]"...))
		}
	}
	d, base := start(f, Options{Options: engineio.Options{
		MaxBody: 200_000, PingInterval: 500 * time.Millisecond, PingTimeout: 5 * time.Second,
		UpgradeTimeout: 200 * time.Millisecond,
	}})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 {
			return
		}
		mode := script[0] % 6
		parts := bytes.Split(script[1:], []byte{0xff})
		parts = parts[:min(len(parts), 50)]
		protocol := 3 + int(mode)%2
		switch mode / 2 {
		case 0:
			playWebSocket(base, protocol, parts)
		case 1:
			playPolling(base, protocol, "", parts)
		case 2:
			playPolling(base, protocol, "j=0", parts)
		}
		witness := mustJoin(t, base, 4, "")
		if answer, err := ask(witness, `["marks"]`); err != nil || !strings.Contains(answer, `"ok":true`) {
			t.Fatalf("the witness: %q, %v", answer, err)
		}
		witness.Conn.Close()
		eventually(t, "the session has ended", func() bool { return len(d.conns()) == 0 })
	})
}

func playWebSocket(base string, protocol int, frames [][]byte) {
	c, err := dial(base, protocol, "", nil)
	if err != nil {
		return
	}
	defer c.Conn.Close()
	for _, frame := range frames {
		kind := websocket.TextMessage
		if len(frame) > 0 && frame[0] == 0xfe {
			kind, frame = websocket.BinaryMessage, frame[1:]
		}
		if c.Conn.WriteMessage(kind, frame) != nil {
			return
		}
	}
	// An event as a fence: what came before it has been handled when it is
	// answered, or the connection has been closed.
	c.Send(`429["marks"]`)
	for err == nil {
		c.Conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		var b []byte
		if _, b, err = c.Conn.ReadMessage(); strings.HasPrefix(string(b), "439") {
			return
		}
	}
}

func playPolling(base string, protocol int, more string, bodies [][]byte) {
	p, err := testclient.Poll(base, protocol, more)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // gives up the poll, which ends the session
	go func() {
		for ctx.Err() == nil {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.URL(""), nil)
			response, err := web.Do(r)
			if err != nil || response.StatusCode != http.StatusOK {
				return
			}
			json.NewDecoder(response.Body).Decode(&struct{}{})
			response.Body.Close()
		}
	}()
	defer p.Send("1")
	for _, body := range bodies {
		kind := "text/plain;charset=UTF-8"
		switch {
		case more != "":
			kind = "application/x-www-form-urlencoded"
		case len(body) > 0 && body[0] == 0xfe:
			kind, body = "application/octet-stream", body[1:]
		}
		if status, _, err := p.Request(http.MethodPost, "", bytes.NewReader(body), kind); err != nil || status != http.StatusOK {
			return
		}
	}
}

// FuzzPacket: what is taken for a packet has whole JSON of the right shape, and of
// an event that is not taken the name is read as of one that is.
func FuzzPacket(f *testing.F) {
	for _, s := range []string{"0", `0{}`, `2["a"]`, `21["a",1]`, `2/x,1["a"]`, `51-["a"]`, "1", "3", `31[]`, "2[", `2["a",{`, `2[5]`, `2["\u0061"]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePacket(data)
		if err != nil {
			return
		}
		var name, short string
		if p.kind == typeEvent && len(p.data) > 0 {
			short = eventName(p.data)
			if name, _, err = decodeEvent(p.data); err != nil {
				return
			}
		}
		if len(p.data) > 0 && !json.Valid(p.data) {
			t.Fatalf("%q passed", p.data)
		}
		if rooms.Reserved(name) || short != name && short != "" {
			t.Fatalf("%q passed as %q and %q", p.data, name, short)
		}
	})
}
