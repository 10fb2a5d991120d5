#!/usr/bin/env bash
# Fetches the official Socket.IO browser client into public/client, unless it
# is there and package-lock.json has not changed since.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

# complete: every file that the build copies is there.
complete() {
  local build
  for build in socket.io socket.io.min socket.io.esm.min socket.io.msgpack.min; do
    [ -s "public/client/$build.js" ] && [ -s "public/client/$build.js.map" ] || return 1
  done
}

made=node_modules/.client-built
if complete && [ -e "$made" ] && cmp -s package-lock.json "$made"; then
  exit 0
fi
npm ci --silent
npm run --silent build
cp package-lock.json "$made"
