package redis

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

func TestRedis(t *testing.T) {
	server := redistest.Start(t)
	adaptertest.Run(t, func(t *testing.T) func(i int) adaptertest.Store { return opener(t, server.URL()) })
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	adaptertest.Run(t, func(t *testing.T) func(i int) adaptertest.Store { return opener(t, cluster.URL()) })
}

func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	guarded := redistest.StartSentinel(t)
	adaptertest.Run(t, func(t *testing.T) func(i int) adaptertest.Store { return opener(t, guarded.URL()) })
	t.Run("failover", func(t *testing.T) {
		all := opens(t, guarded.URL(), "a", "b", "c")
		for _, i := range all {
			i.enter(100)
		}
		agree(t, bound, all...)
		guarded.Failover()
		changesMeanwhile(t, all...)
		t.Logf("repaired after %v", agree(t, bound, all...))
		settle(all...)
		agree(t, bound, all...)
		nobodyLeft(t, all...)
	})
}

// A killed instance is noticed in a cluster as early as elsewhere: its channel
// lives where the keys are.
func TestRedisClusterKilledInstance(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	var log adaptertest.Log
	logger := slog.New(slog.NewTextHandler(&log, nil))
	ab := []*instance{
		open(t, Options{URL: cluster.URL(), Instance: "a", Log: logger}),
		open(t, Options{URL: cluster.URL(), Instance: "b", Log: logger}),
	}
	for _, i := range ab {
		i.eventually("a failure detector", 2*bound, func() bool { return i.renewals() > 4 })
	}
	p := startProcess(t, cluster.URL(), "c", 20)
	for _, i := range ab {
		i.eventually("all", bound, func() bool { return len(i.view()) == 20 })
	}
	p.kill()
	t.Logf("gone after %v", agree(t, bound, ab...))
	if !strings.Contains(log.String(), "sign=silent") {
		t.Errorf("not by the closed connection:\n%s", log.String())
	}
	for _, i := range ab {
		leftOnce(t, i, "c/", 20, rooms.InstanceLost)
	}
}

// opener opens instances under a prefix of their own. They are closed in order with
// the test.
func opener(t *testing.T, url string) func(i int) adaptertest.Store {
	return func(i int) adaptertest.Store {
		t.Helper()
		s, err := Open(t.Context(), Options{URL: url, Prefix: t.Name(), Instance: adaptertest.Instance(i), limits: limits{maxHistories: adaptertest.MaxHistories()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), bound)
			defer cancel()
			if err := s.Close(ctx); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		t.Cleanup(func() { // a store that had to compare has not told each change
			if n := s.Stats().Resyncs; t.Failed() && n > 0 {
				t.Logf("%s compared everything %d times", s.Instance(), n)
			}
		})
		return s
	}
}
