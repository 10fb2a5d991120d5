package adapter_test

import (
	"slices"
	"testing"

	"rollcall/adapter"
	"rollcall/adapter/adaptertest"
	"rollcall/rooms"
)

func TestMemoryBus(t *testing.T) {
	adaptertest.RunBus(t, func(_ *testing.T, n int) []rooms.Bus {
		return slices.Repeat([]rooms.Bus{adapter.NewMemoryBus()}, n)
	})
}
