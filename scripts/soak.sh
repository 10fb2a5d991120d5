#!/usr/bin/env bash
# Looks for faults of the Redis store for a given time: simulated histories on
# all cores but one, and random faults with real processes beside them. Both
# print their seeds, and what they found.
#
#   scripts/soak.sh 1h    a time of Go's, such as 30m or 90s
#
# FAULT_SEED=n repeats the faults, SIM_FROM=n the histories, from a seed on.
set -uo pipefail
cd "$(dirname "$0")/.."
time=${1:?how long}
scripts/setup.sh test || exit 1
. scripts/env.sh

seconds=$(go run ./scripts/seconds "$time") || exit 2
cores=$(($(nproc) > 1 ? $(nproc) - 1 : 1))

GOMAXPROCS=$cores go test -count=1 -v -timeout 0 -run 'TestSimulation$' ./adapter \
  -sim.time "$time" -sim.from "${SIM_FROM:-0}" &
simulation=$!
failed=0
FAULT_SECONDS=$seconds go test -race -count=1 -v -timeout 0 -run Random ./e2e/cluster || failed=1
wait "$simulation" || failed=1
exit $failed
