#!/usr/bin/env bash
# Looks for faults at random for a given time: a quarter of it fuzzing, a quarter
# histories of the real clients, and half of it simulated histories of the Redis
# store on all cores but one, with random faults in real processes beside them.
# After that, histories as large as they may become, and the figures of the
# attacks, which take some four minutes.
#
#   scripts/soak.sh 1h    a time of Go's, such as 30m or 90s
#
# It prints its seed: SEED=n repeats the histories and the faults. What fuzzing
# finds, go test leaves in testdata.
set -uo pipefail
cd "$(dirname "$0")/.."
time=${1:?how long}
scripts/setup.sh test || exit 1
. scripts/env.sh
make client bin/rollcall || exit 1
(cd e2e && npm ci --silent) || exit 1

seconds=$(go run ./scripts/seconds "$time") || exit 2
cores=$(($(nproc) > 1 ? $(nproc) - 1 : 1))
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "SEED=$seed"
failed=()

targets=$(go test -list '^Fuzz' ./... | grep -c '^Fuzz')
FUZZTIME=$((seconds / 4 / targets + 1))s scripts/fuzz.sh || failed+=(fuzz)

# One history after the other, each from a seed of its own.
for ((n = seed, until = SECONDS + seconds / 4; SECONDS < until; n++)); do
  (cd e2e && RACING_SEED=$n ROOMS_SEED=$n HIDDEN_SEED=$n ROOMS_ROUNDS=60 HIDDEN_ROUNDS=15 \
    npm test --silent -- racing.default.test.mjs racing.strict.test.mjs rooms.cluster.test.mjs status.hidden.test.mjs) ||
    failed+=("histories from seed $n")
done

GOMAXPROCS=$cores go test -count=1 -v -timeout 0 -run 'TestSimulation$' ./adapter/redis \
  -sim.time "$((seconds / 2))s" -sim.from "$seed" &
simulation=$!
go test -race -count=1 -v -timeout 0 -run RandomFaults ./adapter/redis -redis.seed "$seed" -redis.random "$((seconds / 8))s" || failed+=("random faults")
FAULT_SEED=$seed FAULT_SECONDS=$((seconds * 3 / 8)) go test -race -count=1 -v -timeout 0 -run Random ./e2e/cluster || failed+=(faults)
wait "$simulation" || failed+=(simulation)

# Histories of as many bytes as in production.
go test -race -count=1 -timeout 1h -run '^Test(Memory|Contract|ContractInACluster)$/nobody_pushes_out' ./adapter/memory ./adapter/redis -max-histories 67108864 || failed+=(bounds)

ROLLCALL_BIN=$PWD/bin/rollcall go test -count=1 -v -timeout 1h ./e2e/abuse || failed+=(abuse)

echo "SEED=$seed: ${failed[*]:-nothing was found}"
[ ${#failed[@]} -eq 0 ]
