#!/usr/bin/env bash
# Everything that `make test` checks. A step that fails does not stop the
# others, but it fails the whole. The long forms of random tests are in soak.sh.
#
#   scripts/test.sh [STEP...]    default: all of them
set -uo pipefail
cd "$(dirname "$0")/.."

# First these, one after the other; then each line of lanes is a row of steps,
# and the lanes run side by side, since many tests wait more than they compute.
# What computes most has a lower priority than what depends on the time.
first="client build"
lanes=(
  "gofmt unit vet staticcheck"
  "e2e"
  "abuse cluster simulation image"
)

step_client() { scripts/client.sh; }

step_build() { make bin/rollcall; }

step_gofmt() {
  local wrong
  wrong=$(find . -name node_modules -prune -o -name '*.go' -print0 | xargs -0 gofmt -l) || return 1
  [ -z "$wrong" ] || { echo "not formatted:"; echo "$wrong"; return 1; }
}

step_vet() { nice go vet ./...; }

step_staticcheck() { nice go run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./...; }

# Never from the cache: it does not know of the programs that tests start. Fuzz
# targets run their corpus here.
step_unit() {
  local packages
  packages=$(go list ./... | grep -vE '/e2e/(abuse|cluster)$') || return 1
  # shellcheck disable=SC2086 # one word a package
  go_test -race $packages
}

# More tests at a time than there are cores: they wait for leases to end.
step_cluster() { go_test -race -parallel 6 ./e2e/cluster; }

step_abuse() { ROLLCALL_BIN=$PWD/bin/rollcall go_test -short ./e2e/abuse; }

# Histories of the Redis store in virtual time, without -race: the more the
# better. Always from the same seed on, so that two runs see the same; make soak
# draws others.
step_simulation() {
  nice go test -count=1 -v -run TestSimulat ./adapter/redis -sim.time "${SIM_TIME:-30s}" -sim.from "${SIM_FROM:-1}"
}

step_image() { nice scripts/image-check.sh; }

# The tests in e2e/ start bin/rollcall.
step_e2e() {
  cd e2e || return 1
  cmp -s package-lock.json node_modules/.installed || { npm ci --silent && cp package-lock.json node_modules/.installed; } || return 1
  nice -n 3 npm test --silent
}

# go_test runs tests, prints what fails, and which took longest.
go_test() {
  local failed=0 events=$work/${FUNCNAME[1]}.json
  gotestsum --format pkgname --jsonfile "$events" -- -count=1 "$@" || failed=1
  echo "slowest tests:"
  gotestsum tool slowest --jsonfile "$events" --num 10
  return $failed
}

gotestsum() { CGO_ENABLED=1 go run gotest.tools/gotestsum@v1.13.0 "$@"; }

# run_steps runs steps one after the other. What a step prints comes out at its
# end, in one piece. In results is a line for each: seconds, seconds of
# processor time, name, end.
run_steps() {
  local step began took cpu end
  for step in "$@"; do
    began=$SECONDS
    if (trap 'times >"$work/$step.times"' EXIT; "step_$step") </dev/null >"$work/$step.log" 2>&1; then end=passed; else end=FAILED; fi
    took=$((SECONDS - began))
    # The second line of times is of the children: minutes and seconds, user and system.
    cpu=$(awk -F '[ms ]+' 'NR == 2 { printf "%.0f", 60 * ($1 + $3) + $2 + $4 }' "$work/$step.times")
    echo "$took ${cpu:-0} $step $end" >>"$work/results"
    flock "$work/results" sh -c 'echo "== $1"; cat "$2"; echo "== $1 $3 in $4 s"' - "$step" "$work/$step.log" "$end" "$took"
  done
}

# chosen are those of these steps that were asked for.
chosen() {
  local step
  for step in "$@"; do
    [[ " $wanted " != *" $step "* ]] || echo "$step"
  done
}

wanted=${*:-$first ${lanes[*]}}
for step in $wanted; do
  declare -F "step_$step" >/dev/null || { echo "there is no step $step" >&2; exit 2; }
done

# What cannot be set up fails everything: a test that could not run is no test.
scripts/setup.sh test || exit 1
. scripts/env.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/results"
# shellcheck disable=SC2046,SC2086 # one word a step
{
  run_steps $(chosen $first)
  for lane in "${lanes[@]}"; do run_steps $(chosen $lane) & done
  wait
}

echo "== slowest steps, $SECONDS s in all"
sort -rn "$work/results" | awk '{ printf "%7d s, %4d s of processor time  %s %s\n", $1, $2, $3, $4 }'
! grep -q FAILED "$work/results"
