package abuse

import (
	"encoding/json"
	"strings"
	"testing"
)

// A poll is a session over polling.
type poll struct {
	s    *server
	path string
	sid  string
}

// poll makes a session over polling that is connected.
func (s *server) poll(t testing.TB, query string) *poll {
	t.Helper()
	got := s.ask("GET", "/socket.io/?EIO=4&transport=polling&"+query, "")
	var open struct{ SID string }
	if !strings.HasPrefix(got.body, "0{") || json.Unmarshal([]byte(got.body[1:]), &open) != nil {
		t.Fatalf("polling: %d %.200s", got.status, got.body)
	}
	p := &poll{s, "/socket.io/?EIO=4&transport=polling&sid=" + open.SID, open.SID}
	p.post("40")
	if got := p.get(); !strings.HasPrefix(got.body, "40{") {
		t.Fatalf("polling: CONNECT is answered %d %.200s", got.status, got.body)
	}
	return p
}

func (p *poll) post(body string) answer {
	p.s.t.Helper()
	return p.s.ask("POST", p.path, body, "Content-Type: text/plain")
}

func (p *poll) get() answer {
	p.s.t.Helper()
	return p.s.ask("GET", p.path, "")
}
