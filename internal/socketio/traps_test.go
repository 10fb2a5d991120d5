package socketio

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/zishang520/socket.io/v2/socket"

	"rollcall/internal/engineio"
	"rollcall/internal/engineio/enginetest"
)

// Each trap is something that the library gets wrong as it ships. Its check
// passes against this package and fails against the bare library, which runs
// beside it as a negative control: a check that both pass proves nothing.
var traps = []struct {
	name  string
	check func(base string) error
}{
	{"broadcasts lost", burst(50)},
	{"broadcasts lost, 1000", burst(1000)},
	{"inbound order", inboundOrder},
	{"crash: event without payload", survives("42")},
	{"crash: binary event without payload", survives("450-")},
	{"handshake race", fastClients},
	{"polling loses large packets", largePackets},
	{"polling accepts nonsense", endsSession("abc")},
	{"polling accepts bad base64", endsSession("b####")},
	{"polling accepts an empty body", endsSession("")},
	{"polling reads chunked bodies whole", chunked},
	{"polling hangs on octet-stream", octetStream},
	{"garbage after the JSON", closes(`42["mark",1]x`)},
	{"attachment counts of ten digits", closes(`459999999999-["mark",1]`)},
	{"reserved event names", closes(`42["newListener",1]`)},
	{"numeric event names", keeps(`42[7,1]`)},
	{"equal response headers", equalHeaders},
	{"no close frame", goodbye},
}

const (
	stockEnv   = "ROLLCALL_TEST_STOCK"
	trapLimit  = 200_000 // of a message; the defect needs more than 64 KiB
	trapBody   = 1_000_000
	stockQuiet = 2 * time.Second // after which a lost answer counts as lost
)

func TestTraps(t *testing.T) {
	for _, trap := range traps {
		t.Run(trap.name, func(t *testing.T) {
			_, base := start(t, Options{Options: engineio.Options{MaxMessage: trapLimit, MaxBody: trapBody}})
			if err := trap.check(base); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTrapsOfTheLibrary is the negative control.
func TestTrapsOfTheLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("the negative control is part of the full run")
	}
	for _, trap := range traps {
		t.Run(trap.name, func(t *testing.T) {
			t.Parallel()
			if err := trap.check(stock(t)); err == nil {
				t.Error("the bare library passes: the check is worth nothing, or the library was repaired")
			} else {
				t.Log("the bare library:", err)
			}
		})
	}
}

func burst(n int) func(string) error {
	return func(base string) error {
		c, err := join(base, 4, "")
		if err != nil {
			return err
		}
		defer c.Conn.Close()
		if err := c.Send(fmt.Sprintf(`42["burst",%d]`, n)); err != nil {
			return err
		}
		for i := range n {
			c.Conn.SetReadDeadline(time.Now().Add(stockQuiet))
			_, b, err := c.Conn.ReadMessage()
			if want := fmt.Sprintf(`42["tick",%d]`, i); err != nil || string(b) != want {
				return fmt.Errorf("packet %d: %.80q, %v", i, b, err)
			}
		}
		return nil
	}
}

func inboundOrder(base string) error {
	const n = 5000
	c, err := join(base, 4, "")
	if err != nil {
		return err
	}
	defer c.Conn.Close()
	for i := range n {
		if err := c.Send(fmt.Sprintf(`42["mark",%d]`, i)); err != nil {
			return err
		}
	}
	var answers []struct{ Marks []int }
	for len(answers) == 0 || len(answers[0].Marks) < n {
		answer, err := c.Ask(1, `["marks"]`)
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(answer), &answers); err != nil {
			return err
		}
	}
	for i, m := range answers[0].Marks {
		if i != m {
			return fmt.Errorf("event %d was handled in place %d", m, i)
		}
	}
	return nil
}

// survives: another session works after a frame was sent.
func survives(frame string) func(string) error {
	return func(base string) error {
		for range 3 {
			c, err := join(base, 4, "")
			if err != nil {
				return err
			}
			c.Send(frame)
			c.Conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			c.Conn.ReadMessage()
			c.Conn.Close()
		}
		c, err := join(base, 4, "")
		if err != nil {
			return err
		}
		defer c.Conn.Close()
		_, err = c.Ask(1, `["marks"]`)
		return err
	}
}

// fastClients connect over loopback as fast as they can and send CONNECT and an
// event before they have read a packet.
func fastClients(base string) error {
	const clients, lanes = 2000, 32
	var wg sync.WaitGroup
	failures := make(chan error, clients)
	address := strings.TrimPrefix(base, "http://")
	request := "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n" +
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	frame := func(text string) []byte { // masked with zeroes
		return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
	}
	for lane := range lanes {
		wg.Go(func() {
			for range clients / lanes {
				err := func() error {
					conn, err := net.Dial("tcp", address)
					if err != nil {
						return err
					}
					defer conn.Close()
					conn.SetDeadline(time.Now().Add(stockQuiet + 3*time.Second))
					if _, err := io.WriteString(conn, request); err != nil {
						return err
					}
					in := bufio.NewReader(conn)
					response, err := http.ReadResponse(in, nil)
					if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
						return fmt.Errorf("lane %d: no upgrade: %w", lane, err)
					}
					if _, err := conn.Write(append(frame("40"), frame(`421["marks"]`)...)); err != nil {
						return err
					}
					var got []byte
					buf := make([]byte, 2048)
					for !strings.Contains(string(got), "431[") {
						n, err := in.Read(buf)
						if err != nil {
							return fmt.Errorf("lane %d: no answer: %w", lane, err)
						}
						got = append(got, buf[:n]...)
					}
					return nil
				}()
				if err != nil {
					failures <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failures)
	return <-failures
}

// largePackets posts several packets of the largest allowed size in one go.
func largePackets(base string) error {
	p, err := pollJoin(base, 4, "")
	if err != nil {
		return err
	}
	const n = 4
	var packets []string
	for i := range n {
		head, tail := fmt.Sprintf(`42["mark",%d,"`, i), `"]`
		packets = append(packets, head+strings.Repeat("x", trapLimit-len(head)-len(tail))+tail)
	}
	if _, err := p.Post(p.Join(packets...)); err != nil {
		return err
	}
	answer, err := p.Ask(1, `["marks"]`)
	if err == nil && !strings.Contains(answer, "[0,1,2,3]") {
		err = fmt.Errorf("handled: %s", answer)
	}
	return err
}

// endsSession: the session is over after a nonsensical body.
func endsSession(body string) func(string) error {
	return func(base string) error {
		p, err := pollJoin(base, 4, "")
		if err != nil {
			return err
		}
		p.Post(body)
		if p.Alive() {
			return errors.New("the session lives on")
		}
		return nil
	}
}

func chunked(base string) error {
	p, err := pollJoin(base, 4, "")
	if err != nil {
		return err
	}
	body := io.MultiReader(strings.NewReader(`42["mark","`), strings.NewReader(strings.Repeat("x", trapBody)), strings.NewReader(`"]`))
	status, _, err := p.Request(http.MethodPost, "", body, "text/plain")
	if err != nil || status != http.StatusRequestEntityTooLarge {
		return fmt.Errorf("answered %d, %v", status, err)
	}
	return nil
}

func octetStream(base string) error {
	p, err := pollJoin(base, 4, "")
	if err != nil {
		return err
	}
	r, _ := http.NewRequest(http.MethodPost, p.URL(""), strings.NewReader("x"))
	r.Header.Set("Content-Type", "application/octet-stream")
	quick := &http.Client{Timeout: stockQuiet}
	response, err := quick.Do(r)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}

// joinAndSend opens a session that sends this frame.
func joinAndSend(base, frame string) (*enginetest.Client, error) {
	c, err := join(base, 4, "")
	if err != nil {
		return nil, err
	}
	if err := c.Send(frame); err != nil {
		c.Conn.Close()
		return nil, err
	}
	return c, nil
}

// closes: the frame ends the connection it came on.
func closes(frame string) func(string) error {
	return func(base string) error {
		c, err := joinAndSend(base, frame)
		if err != nil {
			return err
		}
		defer c.Conn.Close()
		for {
			c.Conn.SetReadDeadline(time.Now().Add(stockQuiet))
			if _, _, err := c.Conn.ReadMessage(); err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
					return errors.New("the connection lives on")
				}
				return nil
			}
		}
	}
}

// keeps: the frame does not end the connection.
func keeps(frame string) func(string) error {
	return func(base string) error {
		c, err := joinAndSend(base, frame)
		if err != nil {
			return err
		}
		defer c.Conn.Close()
		_, err = c.Ask(1, `["marks"]`)
		return err
	}
}

// equalHeaders: what the handler around the server set twice arrives twice.
func equalHeaders(base string) error {
	response, err := http.Get(endpoint(base, "polling", 4, ""))
	if err != nil {
		return err
	}
	response.Body.Close()
	if got := response.Header.Values("X-Twice"); len(got) != 2 {
		return fmt.Errorf("sent %v", got)
	}
	return nil
}

func goodbye(base string) error {
	c, err := join(base, 4, "")
	if err != nil {
		return err
	}
	defer c.Conn.Close()
	if err := c.Send(`42["close"]`); err != nil {
		return err
	}
	for err == nil {
		_, err = c.Next()
	}
	if !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
		return err
	}
	return nil
}

// stock starts the bare library in a process of its own, since some of the
// checks end it.
func stock(t *testing.T) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stockEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // it ends when this closes
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// serveStock is the library as it ships, with the events of the test domain.
func serveStock() {
	opts := socket.DefaultServerOptions()
	opts.SetAllowEIO3(true)
	opts.SetMaxHttpBufferSize(trapBody)
	sio := socket.NewServer(nil, opts)
	var mu sync.Mutex
	marks := map[socket.SocketId][]any{}
	sio.On("connection", func(args ...any) {
		sock := args[0].(*socket.Socket)
		sock.On("burst", func(args ...any) {
			for i := range int(args[0].(float64)) {
				sio.Emit("tick", i)
			}
		})
		sock.On("mark", func(args ...any) {
			mu.Lock()
			defer mu.Unlock()
			marks[sock.Id()] = append(marks[sock.Id()], args[0])
		})
		sock.On("marks", func(args ...any) {
			mu.Lock()
			defer mu.Unlock()
			args[len(args)-1].(socket.Ack)([]any{map[string]any{"ok": true, "marks": append([]any{}, marks[sock.Id()]...)}}, nil)
		})
		sock.On("close", func(...any) { sock.Conn().Close(false) })
	})
	server := httptest.NewServer(headerTwice(sio.ServeHandler(nil)))
	fmt.Println(server.URL)
	io.Copy(io.Discard, os.Stdin)
}

func headerTwice(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-Twice", "1")
		w.Header().Add("X-Twice", "2")
		next.ServeHTTP(w, r)
	})
}
