package adapter

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

// Every step that others can see is one script: the change and its
// announcement happen together or not at all.
var (
	//go:embed scripts/prelude.lua
	prelude string
	//go:embed scripts/apply.lua
	applyLua string
	//go:embed scripts/renew.lua
	renewLua string
	//go:embed scripts/bury.lua
	buryLua string
	//go:embed scripts/snapshot.lua
	snapshotLua string

	applyScript    = redis.NewScript(prelude + applyLua)
	renewScript    = redis.NewScript(prelude + renewLua)
	buryScript     = redis.NewScript(prelude + buryLua)
	snapshotScript = redis.NewScript(prelude + snapshotLua)
)
