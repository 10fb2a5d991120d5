package adapter_test

import (
	"slices"
	"testing"

	"rollcall/adapter"
	"rollcall/adapter/adaptertest"
	"rollcall/rooms"
)

func TestMemory(t *testing.T) {
	adaptertest.Run(t, func(_ *testing.T, n int) []rooms.Store {
		return slices.Repeat([]rooms.Store{adapter.NewMemory()}, n)
	})
}
