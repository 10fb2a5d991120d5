package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
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

// freePort finds a port that nobody listens on. Another process may take it
// before the one that it is for.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
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
