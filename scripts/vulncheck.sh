#!/usr/bin/env bash
# Looks the program's dependencies, and the Go that builds it, up in Go's
# vulnerability database. It fails on a known hole in code that the program can
# reach, and also when it could not ask: silence is no answer. GOVULNDB is
# another database, such as file:///srv/vulndb.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

database=${GOVULNDB:-https://vuln.go.dev}
rc=0
go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 -db "$database" "${@:-.}" || rc=$?
if [ "$rc" != 0 ]; then
  echo "vulncheck: failed: a hole is named above, or $database could not be asked." >&2
  echo "docs/dev/supply-chain.md has the last review by hand." >&2
fi
exit "$rc"
