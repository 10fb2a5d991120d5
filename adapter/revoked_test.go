package adapter

import (
	"fmt"
	"testing"
	"time"
)

// Their number and age are bounded in memory too.
func TestRevocationsAreBounded(t *testing.T) {
	var r Revocations
	now := time.Now()
	for n := range MaxRevoked + 10 {
		r.Note(fmt.Sprint(n), now.UnixMilli(), now)
	}
	if r.order.Len() != MaxRevoked || len(r.byUser) != MaxRevoked || r.At("9") != 0 || r.At("10") == 0 {
		t.Errorf("%d of %d are kept", r.order.Len(), len(r.byUser))
	}
	if r.Note("late", now.Add(-KeepRevoked-time.Second).UnixMilli(), now) {
		t.Error("a revocation that is forgotten was taken")
	}
	later := now.Add(KeepRevoked + time.Second)
	r.Note("new", later.UnixMilli(), later)
	if r.order.Len() != 1 || r.At("new") == 0 {
		t.Errorf("%d old ones are kept", r.order.Len()-1)
	}
}
