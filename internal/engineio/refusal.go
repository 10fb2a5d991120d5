package engineio

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/gorilla/websocket"
)

// refusal is an answer to a request that no session takes, in Node's words.
type refusal struct {
	status  int
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	unknownTransport = refusal{http.StatusBadRequest, 0, "Transport unknown"}
	unknownSession   = refusal{http.StatusBadRequest, 1, "Session ID unknown"}
	badMethod        = refusal{http.StatusBadRequest, 2, "Bad handshake method"}
	badRequest       = refusal{http.StatusBadRequest, 3, "Bad request"}
	forbiddenOrigin  = refusal{http.StatusForbidden, 4, "Origin not allowed"}
	noJSONP          = refusal{http.StatusForbidden, 4, "JSONP is off"}
	tooMany          = refusal{http.StatusTooManyRequests, 4, "Too many connections from this address"}
	full             = refusal{http.StatusServiceUnavailable, 4, "Too many connections"}
	busy             = refusal{http.StatusServiceUnavailable, 4, "Too much is being received"}
	stopping         = refusal{http.StatusServiceUnavailable, 4, "Shutting down"}
)

// refuse answers a request that no session takes, byte for byte as Node does: a
// plain request with JSON, a WebSocket handshake with the message alone.
func refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	if websocket.IsWebSocketUpgrade(r) {
		refuseUpgrade(w, no)
		return
	}
	body, _ := json.Marshal(no) // a number and a string always marshal
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	w.Write(body)
}

func refuseUpgrade(w http.ResponseWriter, no refusal) {
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Connection", "close")
	w.WriteHeader(no.status)
	io.WriteString(w, no.Message)
}

func (s *Server) refused(w http.ResponseWriter, r *http.Request, no refusal, code string) {
	s.opts.Observer.Refusal(code)
	refuse(w, r, no)
}
