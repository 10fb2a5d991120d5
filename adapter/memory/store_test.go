package memory_test

import (
	"testing"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/memory"
)

func TestMemory(t *testing.T) {
	adaptertest.RunAlone(t, func() adaptertest.Store {
		store := memory.New()
		store.BoundHistories(adaptertest.MaxHistories())
		return store
	})
}
