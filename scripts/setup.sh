#!/usr/bin/env bash
# Makes sure that what `make run` or `make test` needs is there. As root on
# Debian it installs what is missing; otherwise it says what is missing and
# fails. Quick when nothing is: it only looks.
#
#   scripts/setup.sh run|test
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

purpose=${1:?run or test}
packages=()

# need COMMAND PACKAGE...: the packages that bring a command that is not there.
need() {
  command -v "$1" >/dev/null || packages+=("${@:2}")
}

# install PACKAGE...: gives up after a while where the archive cannot be reached.
install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "installing $*"
  local apt=(apt-get -qq -o Acquire::http::Timeout=20 -o Acquire::Retries=1)
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null
}

need node nodejs
need npm npm
[ -s /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
if [ "$purpose" = test ]; then
  need curl curl
  need git git
  need redis-server redis-server
  # Chromium without windows takes half the processor time. Where the whole one is
  # there and this one cannot be had, the whole one will do.
  if ! command -v chromium >/dev/null; then
    need chromium-headless-shell chromium-headless-shell
  elif ! command -v chromium-headless-shell >/dev/null; then
    install chromium-headless-shell || echo "the tests use chromium, since chromium-headless-shell cannot be installed"
  fi
  # The Ruby of the documents is run, and Rails' own code makes tokens.
  command -v ruby >/dev/null && ruby -rredis -ractive_support -e 0 2>/dev/null ||
    packages+=(ruby ruby-redis ruby-activesupport)
  # The application of docs/how-to/call-from-your-app.md runs on these.
  command -v puma >/dev/null && ruby -rrack -rwarden -e 0 2>/dev/null ||
    packages+=(puma ruby-rack ruby-warden)
  # The race detector links C.
  need gcc gcc
  [ -e /usr/include/stdlib.h ] || packages+=(libc6-dev)
fi

if [ ${#packages[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "These Debian packages are missing: ${packages[*]}" >&2
    echo "Run this as root, or install them first: apt-get install ${packages[*]}" >&2
    exit 1
  fi
  if ! command -v apt-get >/dev/null; then
    echo "Install these first, under whatever names this system has them: ${packages[*]}" >&2
    exit 1
  fi
  install "${packages[@]}"
fi

# Go is not installed from here: Debian's is too old, and which one to trust is
# for the machine's owner to say.
wanted=$(awk '$1 == "go" { print $2 }' go.mod)
if ! command -v go >/dev/null; then
  echo "Go $wanted or newer is missing: see https://go.dev/doc/install" >&2
  exit 1
fi
# Outside the module, since an old Go refuses to say anything inside it.
have=$(cd / && GOTOOLCHAIN=local go env GOVERSION)
if [ "$(printf '%s\n' "$wanted" "${have#go}" | sort -V | head -1)" != "$wanted" ]; then
  echo "Go $wanted or newer is needed, this is $have: see https://go.dev/doc/install" >&2
  exit 1
fi

# The real clients' tests need a newer Node than Debian 12 has; it comes from
# npm into bin/tools, where env.sh looks first.
if [ "$purpose" = test ] && [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
  echo "installing Node 22 into bin/tools"
  npm install --silent --no-audit --no-fund --no-save --prefix bin/tools \
    "node-linux-$(node -p process.arch)@22.23.3" npm@10.9.4
  hash -r
  if [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
    echo "Node 20 or newer is needed, and this is still $(node --version)" >&2
    exit 1
  fi
fi
