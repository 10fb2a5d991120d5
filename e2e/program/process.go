// Package program builds and starts the real programs that the Go tests of e2e
// speak to: Rollcall itself and redis-server. What the tests demand of them is
// theirs; nothing here knows Socket.IO.
package program

import (
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// A Process is a program that a test started. It ends with the test.
type Process struct {
	Cmd  *exec.Cmd
	Log  *Log          // its output; nil if that is not a Log
	Gone chan struct{} // closed when it has ended
}

// Launch starts a program with nothing but PATH, a HOME and vars in its
// environment. Several processes in a row may write to the same output.
func Launch(t testing.TB, output io.Writer, vars []string, program string, args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command(program, args...), Gone: make(chan struct{})}
	p.Log, _ = output.(*Log)
	p.Cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/"}, vars...)
	p.Cmd.Stdout, p.Cmd.Stderr = output, output
	p.Cmd.SysProcAttr = leash()
	if err := p.Cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	go func() {
		p.Cmd.Wait()
		close(p.Gone)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Signal sends a signal, unless the process has ended.
func (p *Process) Signal(s syscall.Signal) {
	if !p.Ended() {
		p.Cmd.Process.Signal(s)
	}
}

// Kill ends the process as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.Gone
}

// Ended reports whether the process is gone.
func (p *Process) Ended() bool {
	select {
	case <-p.Gone:
		return true
	default:
		return false
	}
}

// A Log keeps the end of what is written to it. It is safe for concurrent use.
type Log struct {
	// Max is how many bytes it keeps at most; half of them at least. Default 1 MiB.
	Max int

	mu   sync.Mutex // guards text
	text []byte
}

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := l.Max
	if most == 0 {
		most = 1 << 20
	}
	l.text = append(l.text, b...)
	if len(l.text) > most {
		l.text = append([]byte(nil), l.text[len(l.text)-most/2:]...)
	}
	return len(b), nil
}

func (l *Log) String() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Last is the end of the log, of n bytes at most.
func (l *Log) Last(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}
