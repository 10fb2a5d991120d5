#!/usr/bin/env bash
# Everything that `make test` checks. A step that fails does not stop the
# others, but it fails the whole.
#
#   scripts/test.sh [STEP...]    default: all of them, in this order
set -uo pipefail
cd "$(dirname "$0")/.."

step_client() { scripts/client.sh; }

step_gofmt() {
  local wrong
  wrong=$(find . -name node_modules -prune -o -name '*.go' -print0 | xargs -0 gofmt -l) || return 1
  [ -z "$wrong" ] || { echo "not formatted:"; echo "$wrong"; return 1; }
}

step_vet() { go vet ./...; }

step_staticcheck() { go run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./...; }

# Never from the cache: it does not know of the programs that tests start.
# The abuse suite measures what others feel of an attack, so it has the machine
# to itself.
step_unit() {
  local packages
  packages=$(go list ./... | grep -v /e2e/abuse$) || return 1
  # shellcheck disable=SC2086 # one word a package
  CGO_ENABLED=1 go test -race -count=1 $packages
}

# Histories of the Redis store in virtual time, without -race: the more the
# better. Always from the same seed on, so that two runs see the same; make soak
# draws others.
step_simulation() {
  go test -count=1 -v -run 'TestSimulation$' ./adapter -sim.time "${SIM_TIME:-30s}" -sim.from "${SIM_FROM:-1}"
}

step_abuse() { go test -count=1 ./e2e/abuse; }

step_fuzz() { scripts/fuzz.sh; }

step_image() { scripts/image-check.sh; }

step_build() { make bin/rollcall; }

# The tests in e2e/ start bin/rollcall.
step_e2e() { (cd e2e && npm ci --silent && npm test); }

steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(client gofmt vet staticcheck unit simulation abuse fuzz image build e2e)
for step in "${steps[@]}"; do
  declare -F "step_$step" >/dev/null || { echo "there is no step $step" >&2; exit 2; }
done

# What cannot be set up fails everything: a test that could not run is no test.
scripts/setup.sh test || exit 1
. scripts/env.sh

passed=() failed=()
for step in "${steps[@]}"; do
  echo "== $step"
  began=$SECONDS
  if "step_$step"; then
    passed+=("$step")
    echo "== $step passed in $((SECONDS - began)) s"
  else
    failed+=("$step")
    echo "== $step FAILED in $((SECONDS - began)) s"
  fi
done
[ ${#failed[@]} -eq 0 ] || echo "failed: ${failed[*]}"
echo "${#passed[@]} passed, ${#failed[@]} failed"
[ ${#failed[@]} -eq 0 ]
