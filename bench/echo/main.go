// Echo is a bare gorilla/websocket server: the least that a Go server of this
// kind can cost. On / it answers what it gets; on /all it passes what it gets
// on to all connections there, one write call each.
package main

import (
	"log"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
)

func main() {
	h := &hub{conns: map[net.Conn]struct{}{}}
	http.HandleFunc("/", serve(func(conn *websocket.Conn, kind int, data []byte) {
		conn.WriteMessage(kind, data) // an ended connection shows when it is read
	}))
	http.HandleFunc("/all", serve(h.tellAll, h))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// serve reads messages until the connection ends, which is in the hubs so long.
func serve(handle func(*websocket.Conn, int, []byte), hubs ...*hub) http.HandlerFunc {
	var upgrader websocket.Upgrader
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for _, h := range hubs {
			h.enter(conn.NetConn())
			defer h.leave(conn.NetConn())
		}
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil {
				return
			}
			handle(conn, kind, data)
		}
	}
}

type hub struct {
	mu    sync.Mutex // guards conns, and is held while one message is written
	conns map[net.Conn]struct{}
}

func (h *hub) enter(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = struct{}{}
}

func (h *hub) leave(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
}

// tellAll writes one text frame to everybody.
func (h *hub) tellAll(_ *websocket.Conn, _ int, data []byte) {
	frame := []byte{0x81, byte(len(data))}
	if len(data) > 125 {
		frame = []byte{0x81, 126, byte(len(data) >> 8), byte(len(data))}
	}
	frame = append(frame, data...)
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		c.Write(frame)
	}
}
