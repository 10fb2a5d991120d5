package abuse

import (
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
	log  *journal
	gone chan struct{} // closed when it has ended
}

// launch starts a program with nothing but PATH and vars in its environment.
func launch(t testing.TB, vars []string, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), log: &journal{}, gone: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/"}, vars...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = leash()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.gone
	})
	return p
}

// signal sends a signal, unless the process has ended.
func (p *process) signal(s syscall.Signal) {
	if !p.ended() {
		p.cmd.Process.Signal(s)
	}
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

// A journal keeps what is written to it, its first maxJournal bytes.
type journal struct {
	mu   sync.Mutex // guards text
	text []byte
}

const maxJournal = 64 << 20

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, b[:min(len(b), maxJournal-len(j.text))]...)
	return len(b), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text)
}

// last is the end of the journal, for people.
func (j *journal) last(n int) string {
	s := j.String()
	return s[max(0, len(s)-n):]
}

// nextPort is where to look for a free port: below the range from which the
// kernel takes those of outgoing connections, of which there are many here.
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
	for deadline := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}
