package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a program under test, on a port of its own.
type process struct {
	cmd     *exec.Cmd
	port    int
	output  bytes.Buffer
	gone    chan struct{}
	startup time.Duration // from exec to the first answer
}

const startWithin = 15 * time.Second

// launch starts a program and waits until ready(port) is true.
func launch(ctx context.Context, ready func(port int) bool, env []string, command ...string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	for i := range command {
		command[i] = strings.ReplaceAll(command[i], "$PORT", strconv.Itoa(port))
	}
	p := &process{cmd: exec.Command(command[0], command[1:]...), port: port, gone: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/", "PORT=" + strconv.Itoa(port)}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = leash()
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.gone)
	}()
	for !ready(port) {
		select {
		case <-p.gone:
			return nil, fmt.Errorf("%s ended at once:\n%s", command[0], p.output.String())
		case <-ctx.Done():
			p.stop()
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
		if time.Since(began) > startWithin {
			p.stop()
			return nil, fmt.Errorf("%s does not answer", command[0])
		}
	}
	p.startup = time.Since(began)
	return p, nil
}

// stop ends the process, by force: nothing of it is needed any more.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.gone
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// answers asks for a Socket.IO handshake, the first thing any client does.
func answers(port int) bool {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/socket.io/?EIO=4&transport=polling", port))
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// listens is for programs that speak something else.
func listens(port int) bool {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// cpu is the CPU time that the process has used, 0 if it is gone.
func (p *process) cpu() time.Duration {
	d, err := cpuTime(p.cmd.Process.Pid)
	if err != nil {
		return 0
	}
	return d
}

// status reads a size in KiB, such as VmHWM or VmRSS.
func (p *process) status(name string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}
