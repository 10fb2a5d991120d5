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

	testclient "rollcall/e2e/client"
	"rollcall/internal/engineio"
)

// Each trap is something that the library gets wrong as it ships. Its check
// passes against this package and fails against the bare library, which runs
// beside it as a negative control: a check that both pass proves nothing.
var traps = []struct {
	name  string
	check func(target) error
}{
	{"broadcasts lost", burst(50)},
	{"broadcasts lost, 1000", burst(1000)},
	{"inbound order", webSocket(inOrder)},
	{"crash: event without payload", survives("42")},
	{"crash: binary event without payload", survives("450-")},
	{"handshake race", fastClients},
	{"polling loses large packets", polling(largePackets)},
	{"polling accepts nonsense", endsSession("abc")},
	{"polling accepts bad base64", endsSession("b####")},
	{"polling accepts an empty body", endsSession("")},
	{"polling reads chunked bodies whole", polling(chunked)},
	{"polling hangs on octet-stream", polling(octetStream)},
	{"garbage after the JSON", closes(`42["mark",1]x`)},
	{"attachment counts of ten digits", closes(`459999999999-["mark",1]`)},
	{"reserved event names", closes(`42["newListener",1]`)},
	{"numeric event names", webSocket(works, `42[7,1]`)},
	{"equal response headers", equalHeaders},
	{"no close frame", webSocket(goodbye, `42["close"]`)},
}

// A target is the server that a check runs against, and for how long that may say
// nothing: ours as long as it takes, so that a busy machine fails no check.
type target struct {
	base  string
	quiet time.Duration
}

const (
	stockEnv   = "ROLLCALL_TEST_STOCK"
	trapLimit  = 200_000 // of a message; the defect needs more than 64 KiB
	trapBody   = 1_000_000
	stockQuiet = 2 * time.Second // after which the library's answer counts as lost
)

func TestTraps(t *testing.T) {
	for _, trap := range traps {
		t.Run(trap.name, func(t *testing.T) {
			_, base := start(t, Options{Options: engineio.Options{MaxMessage: trapLimit, MaxBody: trapBody}})
			if err := trap.check(target{base, patience}); err != nil {
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
			if err := trap.check(target{stock(t), stockQuiet}); err == nil {
				t.Error("the bare library passes: the check is worth nothing, or the library was repaired")
			} else {
				t.Log("the bare library:", err)
			}
		})
	}
}

// webSocket is a check on a client over WebSocket that has sent packets.
func webSocket(check func(*testclient.Conn, time.Duration) error, packets ...string) func(target) error {
	return func(at target) error {
		c, err := join(at.base, 4, "")
		if err != nil {
			return err
		}
		defer c.Conn.Close()
		for _, p := range packets {
			if err := c.Send(p); err != nil {
				return err
			}
		}
		return check(c, at.quiet)
	}
}

// polling is a check on a client over polling.
func polling(check func(*poller, time.Duration) error) func(target) error {
	return func(at target) error {
		p, err := pollJoin(at.base, 4, "")
		if err != nil {
			return err
		}
		return check(p, at.quiet)
	}
}

func burst(n int) func(target) error {
	return webSocket(func(c *testclient.Conn, quiet time.Duration) error {
		for i := range n {
			c.Conn.SetReadDeadline(time.Now().Add(quiet))
			_, b, err := c.Conn.ReadMessage()
			if want := fmt.Sprintf(`42["tick",%d]`, i); err != nil || string(b) != want {
				return fmt.Errorf("packet %d: %.80q, %v", i, b, err)
			}
		}
		return nil
	}, fmt.Sprintf(`42["burst",%d]`, n))
}

func inOrder(c *testclient.Conn, _ time.Duration) error {
	const n = 5000
	for i := range n {
		if err := c.Send(fmt.Sprintf(`42["mark",%d]`, i)); err != nil {
			return err
		}
	}
	var answers []struct{ Marks []int }
	for len(answers) == 0 || len(answers[0].Marks) < n {
		answer, err := ask(c, `["marks"]`)
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

// works: an event is answered.
func works(c *testclient.Conn, _ time.Duration) error {
	_, err := ask(c, `["marks"]`)
	return err
}

// survives: another session works after a frame was sent.
func survives(frame string) func(target) error {
	return func(at target) error {
		for range 3 {
			if err := webSocket(func(c *testclient.Conn, _ time.Duration) error {
				c.Conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				c.Conn.ReadMessage()
				return nil
			}, frame)(at); err != nil {
				return err
			}
		}
		return webSocket(works)(at)
	}
}

// fastClients connect over loopback as fast as they can and send CONNECT and an
// event before they have read a packet.
func fastClients(at target) error {
	const clients, lanes = 2000, 32
	failures := make(chan error, lanes)
	for range lanes {
		go func() {
			for range clients / lanes {
				if err := fastClient(at); err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	var all []error
	for range lanes {
		all = append(all, <-failures)
	}
	return errors.Join(all...)
}

func fastClient(at target) error {
	conn, _, err := testclient.Dialer.Dial(endpoint(at.base, "websocket", 4, ""), nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(at.quiet + 3*time.Second))
	c := testclient.Conn{Conn: conn}
	err = errors.Join(c.Send("40"), c.Send(`421["marks"]`))
	for answer := []byte(nil); !strings.HasPrefix(string(answer), "431["); {
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		_, answer, err = conn.ReadMessage()
	}
	return nil
}

// largePackets posts several packets of the largest allowed size in one go.
func largePackets(p *poller, _ time.Duration) error {
	var packets []string
	for i := range 4 {
		head, tail := fmt.Sprintf(`42["mark",%d,"`, i), `"]`
		packets = append(packets, head+strings.Repeat("x", trapLimit-len(head)-len(tail))+tail)
	}
	if _, err := p.Post(packets...); err != nil {
		return err
	}
	answer, err := ask(p, `["marks"]`)
	if err == nil && !strings.Contains(answer, "[0,1,2,3]") {
		err = fmt.Errorf("handled: %s", answer)
	}
	return err
}

// endsSession: the session is over after a nonsensical body.
func endsSession(body string) func(target) error {
	return polling(func(p *poller, _ time.Duration) error {
		if p.Post(body); p.Alive() {
			return errors.New("the session lives on")
		}
		return nil
	})
}

func chunked(p *poller, _ time.Duration) error {
	body := io.MultiReader(strings.NewReader(`42["mark","`), strings.NewReader(strings.Repeat("x", trapBody)), strings.NewReader(`"]`))
	status, _, err := p.Request(http.MethodPost, "", body, "text/plain")
	if err != nil || status != http.StatusRequestEntityTooLarge {
		return fmt.Errorf("answered %d, %v", status, err)
	}
	return nil
}

func octetStream(p *poller, quiet time.Duration) error {
	quick := &http.Client{Timeout: quiet}
	response, err := quick.Post(p.URL(""), "application/octet-stream", strings.NewReader("x"))
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}

// closes: the frame ends the connection it came on.
func closes(frame string) func(target) error {
	return webSocket(func(c *testclient.Conn, quiet time.Duration) error {
		for {
			c.Conn.SetReadDeadline(time.Now().Add(quiet))
			if _, _, err := c.Conn.ReadMessage(); err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
					return errors.New("the connection lives on")
				}
				return nil
			}
		}
	}, frame)
}

// equalHeaders: what the handler around the server set twice arrives twice.
func equalHeaders(at target) error {
	response, err := http.Get(endpoint(at.base, "polling", 4, ""))
	if err != nil {
		return err
	}
	response.Body.Close()
	if got := response.Header.Values("X-Twice"); len(got) != 2 {
		return fmt.Errorf("sent %v", got)
	}
	return nil
}

func goodbye(c *testclient.Conn, _ time.Duration) (err error) {
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
