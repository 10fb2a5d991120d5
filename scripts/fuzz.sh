#!/usr/bin/env bash
# Runs every fuzz target for a short time: FUZZTIME each if it is set, else 60s
# for a whole Socket.IO session and 5s for the others.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

# "package target" lines: go test prints a package's targets, then its name.
targets=$(go test -list '^Fuzz' ./... |
  awk '/^Fuzz/ { t[++n] = $1 } $1 == "ok" { for (i = 1; i <= n; i++) print $2, t[i]; n = 0 }')
if [ -z "$targets" ]; then
  echo "there is no fuzz target: the list is wrong" >&2
  exit 1
fi

# fuzz runs one target. On a busy machine Go itself may fail at the end of the
# time, when a worker is late, without having found an input: that is tried once
# more.
fuzz() { go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" "$1" </dev/null 2>&1 | tee "$log"; }
late() { grep -q '^ *context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
while read -r package target; do
  time=5s
  [ "$target" = FuzzSession ] && time=60s
  echo "fuzz $package $target ${FUZZTIME:-$time}"
  fuzz "$package" "$target" "${FUZZTIME:-$time}" && continue
  late && fuzz "$package" "$target" "${FUZZTIME:-$time}" && continue
  failed=1
done <<<"$targets"
exit $failed
