package program

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// nextPort is where to look for a free port. Below the range from which the
// kernel takes those of outgoing connections, of which there are many here: a
// port must stay free while a process that uses it is being restarted.
var nextPort atomic.Int32

func init() { nextPort.Store(15_000 + rand.Int32N(15_000)) }

// FreePort finds a port that nobody listens on.
func FreePort(t testing.TB) string {
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

// Eventually waits for a condition, and says what did not happen in time.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if err := Wait(within, ok); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Wait waits for a condition.
func Wait(within time.Duration, ok func() bool) error {
	for deadline := time.Now().Add(within); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s", within)
		}
	}
	return nil
}
