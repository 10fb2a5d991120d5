package redis

import (
	"cmp"
	"crypto/rand"
	"log/slog"
	"strings"
	"time"
)

// Options configures a Redis store. The zero value of each field but URL
// and Instance means its default.
type Options struct {
	// URL says where Redis is; see ParseURL.
	URL string
	// TLSInsecure accepts any certificate, as Heroku's self-signed ones need.
	TLSInsecure bool
	// Prefix of all keys, which puts them into one hash tag. One deployment is
	// one prefix. Default "rollcall".
	Prefix string
	// Instance names this process for as long as it runs: no other process
	// ever has the same. See InstanceID.
	Instance string
	// Grace is how long the entries stay after Close at least, whether there are
	// other instances or not, so that the users can come back unseen. Those of an
	// instance that died do not wait for it. Default 0.
	Grace time.Duration
	// HandOver is how long the entries stay after Close, if there are other
	// instances, so that users can come back there unseen. Default 0: not at all.
	HandOver time.Duration
	// Log gets what an operator should know. Default: nothing is logged.
	Log *slog.Logger
	// Timing has the intervals; production needs no others than the defaults.
	Timing Timing
	// batch bounds the changes that one call carries. Default maxBatch.
	batch  int
	limits limits
}

// Timing is how long things take. Leases are measured by Redis' clock
// alone; the local one only says how long something has lasted.
type Timing struct {
	// Renew is the pause between two renewals of the lease. Default 1 s.
	Renew time.Duration
	// Lease is how long an instance is believed in without one. All instances
	// of a deployment must agree on it. Default 3 s.
	Lease time.Duration
	// Silence is how long a living instance may be without a connection and a
	// renewal before the others take it for dead, counted from its last
	// renewal. Default 1.5 s.
	Silence time.Duration
	// Call bounds one call to Redis. Default 1 s; a snapshot has five times it.
	Call time.Duration
	// Block is how long the reader waits for news in one call. Default 1 s.
	Block time.Duration
	// Lag is how long the reader may be behind and not get on before it starts
	// afresh.
	// Default 1 s.
	Lag time.Duration
	// MaxGather is the longest that changes are gathered for one call in a
	// storm. The first after quiet never waits. Default 30 ms.
	MaxGather time.Duration
	// MaxBackoff bounds the pause between attempts while Redis is gone; it must
	// be well below Lease, so that nobody is taken for dead who is only on its
	// way back. Default 500 ms.
	MaxBackoff time.Duration
	// Now is the local clock. Default time.Now.
	Now func() time.Time
}

func (t *Timing) setDefaults() {
	t.Renew = cmp.Or(t.Renew, time.Second)
	t.Lease = cmp.Or(t.Lease, 3*time.Second)
	t.Silence = cmp.Or(t.Silence, 1500*time.Millisecond)
	t.Call = cmp.Or(t.Call, time.Second)
	t.Block = cmp.Or(t.Block, time.Second)
	t.Lag = cmp.Or(t.Lag, time.Second)
	t.MaxGather = cmp.Or(t.MaxGather, 30*time.Millisecond)
	t.MaxBackoff = cmp.Or(t.MaxBackoff, 500*time.Millisecond)
	if t.Now == nil {
		t.Now = time.Now
	}
}

// InstanceID makes an instance's id of a configured name: a restart under the
// same name is another instance.
func InstanceID(name string) string {
	return cmp.Or(name, "rollcall") + "-" + strings.ToLower(rand.Text()[:8])
}
