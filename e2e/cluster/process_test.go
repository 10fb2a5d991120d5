package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A process is a program that a test started. It ends with the test.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	gone chan struct{} // closed when it has ended
}

// launch starts a program with nothing but PATH and vars in its environment.
// Several processes in a row may write the same log.
func launch(t testing.TB, log *tail, vars []string, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), log: log, gone: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/"}, vars...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = leash()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// signal sends a signal, unless the process has ended.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.gone:
	default:
		p.cmd.Process.Signal(s)
	}
}

// kill ends the process as a crash would, and waits until it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.gone
}

// ended reports whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

const maxTail = 1 << 20

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if len(l.text) > maxTail {
		l.text = append([]byte(nil), l.text[len(l.text)-maxTail/2:]...)
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// last is the end of the log, for people.
func (l *tail) last(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}

// nextPort is where to look for a free port. Below the range from which the
// kernel takes those of outgoing connections, of which there are many here: a
// port must stay free while a process that uses it is being restarted.
var nextPort atomic.Int32

func init() { nextPort.Store(15_000 + rand.Int32N(15_000)) }

// freePort finds a port that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(int(nextPort.Add(1)))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// eventually waits for a condition, and says what did not happen in time.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if err := wait(within, ok); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wait(within time.Duration, ok func() bool) error {
	for deadline := time.Now().Add(within); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s", within)
		}
	}
	return nil
}
