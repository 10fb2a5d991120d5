#!/usr/bin/env bash
# Builds what browsers load into public/dist. npm fetches again what that takes
# when package-lock.json has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

fetched=node_modules/.fetched
if ! cmp -s package-lock.json "$fetched"; then
  npm ci --silent --include=dev
  cp package-lock.json "$fetched"
fi
npm run --silent build
