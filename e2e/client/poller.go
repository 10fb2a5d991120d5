package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// Poller is a client over polling.
type Poller struct {
	Base     string
	Protocol int
	SID      string
	JSONP    bool     // by script
	Pending  []string // packets that were fetched and are not yet read
}

// Web is the HTTP client of all pollers.
var Web = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: Patience}

// Poll opens a session, by script if the query begins with j=, and reads the open packet.
func Poll(base string, protocol int, query string) (*Poller, error) {
	p := &Poller{Base: base, Protocol: protocol, JSONP: strings.HasPrefix(query, "j=")}
	packets, err := p.Fetch(query)
	if err == nil {
		p.SID, err = SIDOf(packets[0])
		p.Pending = packets[1:]
	}
	return p, err
}

// PollJoin is Poll and CONNECT to the namespace /.
func PollJoin(base string, protocol int, query string) (*Poller, error) {
	p, err := Poll(base, protocol, query)
	if err == nil {
		err = Connect(p, connects[protocol])
	}
	return p, err
}

// MustPoll is PollJoin, or the end of the test.
func MustPoll(t testing.TB, base string, protocol int, query string) *Poller {
	t.Helper()
	p, err := PollJoin(base, protocol, query)
	return must(t, p, err)
}

// Candidate opens a WebSocket for the session, beside polling, and sends packets.
func (p *Poller) Candidate(packets ...string) (*Conn, error) {
	conn, _, err := Dialer.Dial(Endpoint(p.Base, "websocket", p.Protocol, "sid="+p.SID), nil)
	c := &Conn{Conn: conn, SID: p.SID}
	for _, packet := range packets {
		if err == nil {
			err = c.Send(packet)
		}
	}
	return c, err
}

// MustCandidate is Candidate, or the end of the test, with which it is closed.
func MustCandidate(t testing.TB, p *Poller, packets ...string) *Conn {
	t.Helper()
	c, err := p.Candidate(packets...)
	return closing(t, must(t, c, err))
}

// URL is that of the session's requests.
func (p *Poller) URL(query string) string {
	u := Endpoint(p.Base, "polling", p.Protocol, query)
	if p.Protocol == 3 {
		u += "&b64=1" // payloads as text
	}
	if p.JSONP {
		u += "&j=0"
	}
	if p.SID != "" {
		u += "&sid=" + url.QueryEscape(p.SID)
	}
	return u
}

// Request makes a request of the session, and returns its status and body.
func (p *Poller) Request(method, query string, body io.Reader, contentType string) (int, string, error) {
	r, _ := http.NewRequest(method, p.URL(query), body)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := Web.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	text := string(b)
	if script, ok := strings.CutPrefix(text, "___eio[0]("); ok && err == nil {
		err = json.Unmarshal([]byte(strings.TrimSuffix(script, ");")), &text)
	}
	return response.StatusCode, text, err
}

// Fetch polls once, and returns what it got.
func (p *Poller) Fetch(query string) ([]string, error) {
	status, body, err := p.Request(http.MethodGet, query, nil, "")
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("poll: %d %.200q %w", status, body, err)
	}
	return p.split(body), nil
}

// Next implements Packets; noops are skipped too.
func (p *Poller) Next() (packet string, err error) {
	for packet = "6"; packet == "6" || packet == "2"; {
		if len(p.Pending) == 0 {
			if p.Pending, err = p.Fetch(""); err != nil {
				return "", err
			}
		}
		if packet, p.Pending = p.Pending[0], p.Pending[1:]; packet == "2" {
			p.Send("3") // an error shows at the next poll
		}
	}
	return packet, nil
}

// Send implements Packets.
func (p *Poller) Send(packet string) error {
	_, err := p.Post(packet)
	return err
}

// Post sends packets in one payload; err is set unless it was answered "ok".
func (p *Poller) Post(packets ...string) (int, error) {
	status, body, err := p.Request(http.MethodPost, "", strings.NewReader(p.Payload(packets...)), "text/plain;charset=UTF-8")
	if err == nil && body != "ok" {
		err = fmt.Errorf("POST: %d %q", status, body)
	}
	return status, err
}

// Alive reports whether the session still exists.
func (p *Poller) Alive() bool {
	ping := map[int]string{3: "2", 4: "3"} // in protocol 4 the answer to one
	return p.Send(ping[p.Protocol]) == nil
}

// Payload is what posts packets.
func (p *Poller) Payload(packets ...string) string {
	payload := strings.Join(packets, "\x1e")
	if p.Protocol == 3 {
		payload = ""
		for _, packet := range packets {
			payload += fmt.Sprintf("%d:%s", len([]rune(packet)), packet) // no surrogates in tests
		}
	}
	if p.JSONP {
		payload = url.Values{"d": {strings.ReplaceAll(payload, "\n", `\n`)}}.Encode()
	}
	return payload
}

// split takes a payload apart.
func (p *Poller) split(payload string) (packets []string) {
	if p.Protocol == 4 {
		return strings.Split(payload, "\x1e")
	}
	for payload != "" {
		length, rest, _ := strings.Cut(payload, ":")
		n, err := strconv.Atoi(length)
		if err != nil || n > len(rest) {
			return append(packets, payload)
		}
		packets, payload = append(packets, rest[:n]), rest[n:]
	}
	return packets
}
