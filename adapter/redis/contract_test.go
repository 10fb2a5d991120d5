package redis

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

func TestContract(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	adaptertest.Run(t, opener(server.URL()))
}

// All keys of a deployment lie in one slot.
func TestContractInACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	adaptertest.Run(t, opener(cluster.URL()))
}

// opener opens instances under a prefix of their own, which are closed in order
// with the test. They wait for Redis as long as a busy machine may take: an
// instance that makes a resync is not told each change.
func opener(url string) func(t *testing.T) func(i int) adaptertest.Store {
	const patience = adaptertest.Patience
	return func(t *testing.T) func(i int) adaptertest.Store {
		return func(i int) adaptertest.Store {
			t.Helper()
			s, err := Open(t.Context(), Options{
				URL: url, Prefix: t.Name(), Instance: adaptertest.Instance(i),
				Timing: Timing{Call: patience, Lag: patience, Lease: patience, Silence: patience},
				limits: limits{maxHistories: adaptertest.MaxHistories()},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := s.Close(ctx); err != nil {
					t.Errorf("close: %v", err)
				}
				if n := s.Stats().Resyncs; n > 0 {
					t.Errorf("%s made %d resyncs", s.instance, n)
				}
			})
			return s
		}
	}
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	guarded := redistest.StartSentinel(t)
	var all []*instance
	for _, id := range []string{"a", "b", "c"} {
		all = append(all, open(t, Options{URL: guarded.URL(), Instance: id}))
		all[len(all)-1].enter(100)
	}
	agree(t, all...)
	guarded.Failover()
	for _, i := range all {
		i.put("meanwhile/"+i.instance, `{}`)
	}
	agree(t, all...)
	settle(all...)
	agree(t, all...)
	nobodyLeft(t, all...)
}

// A process that is killed is noticed by its closed connections, before its
// lease runs out, in a cluster too: its channel lives where the keys are.
func TestKilledProcess(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) string{
		"one server": func(t *testing.T) string { return redistest.Start(t).URL() },
		"cluster":    func(t *testing.T) string { return redistest.StartCluster(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := start(t)
			var log adaptertest.Log
			var ab []*instance
			for _, id := range []string{"a", "b"} {
				ab = append(ab, open(t, Options{URL: url, Instance: id, Log: log.Logger(), Timing: longLease}))
			}
			kill := startProcess(t, url, "c", 20)
			for _, i := range ab {
				i.eventually("all", func() bool { return len(i.view()) == 20 })
				i.eventually("a failure detector", func() bool { return i.Stats().Renewals > 7 })
			}
			kill()
			agree(t, ab...)
			if !strings.Contains(log.String(), "sign=silent") {
				t.Errorf("not by the closed connection:\n%s", log.String())
			}
			for _, i := range ab {
				gone := i.departures()
				for socket, why := range gone {
					if !slices.Equal(why, []rooms.Reason{rooms.InstanceLost}) {
						t.Errorf("%s saw %s leave for %v", i.instance, socket, why)
					}
				}
				if len(gone) != 20 {
					t.Errorf("%s saw %d leave, want 20", i.instance, len(gone))
				}
			}
		})
	}
}

// longLease is for tests in which the end of a lease is not what is noticed.
var longLease = Timing{Lease: 6 * time.Second}

// startProcess starts an instance with n sockets, named as by enter, in a
// process of its own. kill ends it as a crash does.
func startProcess(t *testing.T, url, id string, n int) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLLCALL_TEST_REDIS="+url, "ROLLCALL_TEST_INSTANCE="+id)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may be gone
		_ = cmd.Wait()         // it was killed: the error says just that
	})
	t.Cleanup(kill)
	fmt.Fprintln(in, n)
	return kill
}

// beInstance is that process, until the end of its input.
func beInstance(url string) error {
	s, err := Open(context.Background(), Options{URL: url, Instance: os.Getenv("ROLLCALL_TEST_INSTANCE"), Timing: longLease})
	if err != nil {
		return err
	}
	s.Watch(func([]rooms.Change) {})
	in, n := bufio.NewReader(os.Stdin), 0
	if _, err := fmt.Fscanln(in, &n); err != nil {
		return err
	}
	(&instance{Store: s}).enter(n)
	_, err = io.Copy(io.Discard, in)
	return err
}
