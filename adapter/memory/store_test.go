package memory_test

import (
	"slices"
	"testing"

	"rollcall/adapter/adaptertest"
	"rollcall/adapter/memory"
	"rollcall/rooms"
)

func TestMemory(t *testing.T) {
	adaptertest.RunAlone(t, func() adaptertest.Store {
		store := memory.New()
		store.BoundHistories(adaptertest.MaxHistories())
		return store
	})
}

func TestBus(t *testing.T) {
	adaptertest.RunBus(t, func(_ *testing.T, n int) []rooms.Bus {
		return slices.Repeat([]rooms.Bus{&memory.Bus{}}, n)
	})
}
