package adapter

import (
	"context"
	"testing"
	"time"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/redistest"
	"rollcall/rooms"
)

func TestRedis(t *testing.T) {
	server := redistest.Start(t)
	adaptertest.Run(t, func(t *testing.T, n int) []rooms.Store {
		return openN(t, server.URL(), n)
	})
}

// openN opens n instances under a prefix of their own. They are closed in
// order with the test.
func openN(t *testing.T, url string, n int) []rooms.Store {
	t.Helper()
	var stores []rooms.Store
	for i := range n {
		s, err := OpenRedis(t.Context(), RedisOptions{URL: url, Prefix: t.Name(), Instance: adaptertest.Instance(i)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := s.Close(ctx); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		t.Cleanup(func() { // a store that had to compare has not told each change
			if n := s.Stats().Repairs; t.Failed() && n > 0 {
				t.Logf("%s compared everything %d times", s.Instance(), n)
			}
		})
		stores = append(stores, s)
	}
	return stores
}
