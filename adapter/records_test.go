package adapter

import (
	"fmt"
	"testing"
	"time"
)

// Their number and age are bounded in memory too.
func TestRevocationsAreBounded(t *testing.T) {
	r := NewRevocations()
	now := time.Now()
	for n := range MaxRevoked + 10 {
		r.Note(fmt.Sprint(n), now.UnixMilli(), now)
	}
	if len(r.All()) != MaxRevoked || !r.At("9").IsZero() || r.At("10").IsZero() {
		t.Errorf("%d are kept", len(r.All()))
	}
	r.Note("late", now.Add(-KeepRevoked-time.Second).UnixMilli(), now)
	if !r.At("late").IsZero() {
		t.Error("a revocation that is forgotten was taken")
	}
	later := now.Add(KeepRevoked + time.Second)
	r.Note("new", later.UnixMilli(), later)
	if len(r.All()) != 1 || r.At("new").IsZero() {
		t.Errorf("%d old ones are kept", len(r.All())-1)
	}
}
