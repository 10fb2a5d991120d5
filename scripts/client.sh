#!/usr/bin/env bash
# Fetches the official Socket.IO browser client into public/client, unless it
# is there and package-lock.json has not changed since.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

made=node_modules/.client-built
if [ -s public/client/socket.io.js ] && [ -s public/client/socket.io.min.js ] && [ -e "$made" ] &&
  cmp -s package-lock.json "$made"; then
  exit 0
fi
npm ci --silent
npm run --silent build
cp package-lock.json "$made"
