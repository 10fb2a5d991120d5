#!/usr/bin/env bash
# Proves what the Dockerfile makes, without Docker: runs its own instructions
# on a clean checkout of HEAD, this machine standing in for the base images,
# then starts the result alone in its root directory, as the image's user, and
# asks it. An instruction that this script does not know is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || { kill -KILL "$server"; wait "$server"; } 2>/dev/null || true
  # Go makes its module cache read-only, should a build have put one here.
  chmod -R u+w "$work" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

fail() { echo "image-check: $*" >&2; exit 1; }

# json ARRAY: its elements, one a line.
json() { node -e 'for (const s of JSON.parse(process.argv[1])) console.log(s)' "$1"; }

# context makes what `docker build` would send: HEAD less .dockerignore.
context() {
  mkdir "$work/context"
  git archive HEAD | tar -x -C "$work/context"
  cp "$work/context/Dockerfile" "$work/Dockerfile"
  cd "$work/context"
  shopt -s globstar nullglob dotglob
  local pattern
  while read -r pattern; do
    case $pattern in
      '' | '#'*) ;;
      '!'*) fail ".dockerignore: exceptions are not known here: $pattern" ;;
      *) rm -rf -- $pattern ;;
    esac
  done < <(cat .dockerignore)
  shopt -u globstar nullglob dotglob
  cd "$OLDPWD"
}

# instructions are the Dockerfile's, one a line, without comments.
instructions() {
  sed -e '/^[[:space:]]*#/d' "$work/Dockerfile" | sed -e ':join' -e '/\\$/{N;s/\\\n/ /;b join' -e '}' | sed -e '/^[[:space:]]*$/d'
}

declare -A stages
root= dir=/ user= health= entry=
env=()

from() {
  local image=$1 name=${3:-final}
  [ $# = 1 ] || [ "${2,,}" = as ] || fail "FROM $*"
  case $image in
    golang:*)
      local tag=${image#golang:}
      [[ $(awk '$1 == "go" { print $2 }' go.mod) == "${tag%%-*}"* ]] || fail "$image is not go.mod's Go" ;;
    node:* | scratch) ;;
    *) fail "no stand-in for $image" ;;
  esac
  base=$image root=$work/$name dir=/ user='' health='' entry='' env=()
  stages[$name]=$root
  mkdir "$root"
}

copy() {
  local source=$work/context stage=
  case $1 in
    --from=*) stage=${1#--from=}; source=${stages[$stage]:?no such stage}; shift ;;
    --*) fail "COPY $1" ;;
  esac
  local to=${!#} from path
  [ "${to:0:1}" = / ] || to=$dir/$to
  to=$root$to
  if [ $# -gt 2 ] || [ "${to: -1}" = / ]; then mkdir -p "$to"; fi
  mkdir -p "$(dirname "$to")"
  for from in "${@:1:$#-1}"; do
    path=$source/$from
    # What a base image brings is taken from this machine.
    if [ -n "$stage" ] && [ ! -e "$path" ]; then path=$from; fi
    [ -e "$path" ] || fail "COPY: there is no $from"
    # Docker copies what is in a folder, not the folder.
    if [ -d "$path" ]; then mkdir -p "$to"; cp -a "$path/." "$to/"; else cp -L "$path" "$to"; fi
  done
}

build() {
  local line word rest
  while read -r line; do
    echo "   $line"
    word=${line%% *} rest=${line#* }
    case ${word^^} in
      FROM) from $rest ;;
      WORKDIR) dir=$rest; mkdir -p "$root$dir" ;;
      COPY) copy $rest ;;
      RUN)
        [ "$base" != scratch ] || fail "nothing can RUN on scratch"
        (cd "$root$dir" && env "${env[@]}" sh -c "$rest") </dev/null || fail "failed: $line" ;;
      ENV) env+=($rest) ;;
      USER) user=$rest ;;
      EXPOSE) ;;
      HEALTHCHECK) health=$(json "${rest#*CMD }") ;;
      ENTRYPOINT) entry=$(json "$rest") ;;
      *) fail "an instruction that is not known here: $line" ;;
    esac
  done < <(instructions)
  [ "$base" = scratch ] || fail "the image is not on an empty base"
}

# inside COMMAND...: in the image's root, as its user, with its environment.
# HOST keeps the server on this machine.
inside() {
  local set=(env -i "${env[@]}" "PORT=$port" HOST=127.0.0.1)
  if [ "$(id -u)" = 0 ]; then
    exec "${set[@]}" "$(command -v chroot)" --userspec="$user" --groups= "$root" "$@"
  fi
  exec "${set[@]}" "$(command -v unshare)" --user --map-user="${user%:*}" --map-group="${user#*:}" --root="$root" "$@"
}

free_port() {
  local p
  while p=$((20000 + RANDOM % 10000)); (: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null; do :; done
  echo "$p"
}

ask() { curl -sS --max-time 5 --fail-with-body "http://127.0.0.1:$port$1"; }

try() {
  [[ $user =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "USER must be numbers other than 0, not $user"
  [ -n "$entry" ] && [ -n "$health" ] || fail "ENTRYPOINT and HEALTHCHECK must be there"
  port=$(free_port)
  mapfile -t entry <<<"$entry"
  mapfile -t health <<<"$health"

  (inside "${health[@]}") >/dev/null 2>&1 && fail "the health check passes while nobody is there"
  (inside "${entry[@]}") >"$work/log" 2>&1 &
  server=$!
  local i
  for ((i = 0; i < 100; i++)); do
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; fail "the server ended at once"; }
    ask /readyz >/dev/null 2>&1 && break
    sleep 0.1
  done
  (inside "${health[@]}") || { cat "$work/log" >&2; fail "the health check fails"; }
  local file
  [ "$(ask /healthz)" = ok ] || fail "/healthz is not ok"
  [[ $(ask /metrics) == *$'\nrollcall_users 0'* ]] || fail "/metrics has no rollcall_users"
  [[ $(ask /) == *"<!doctype html>"* ]] || fail "/ is not the page"
  for file in page.js rollcall.js rollcall.mjs; do
    [[ $(ask "/$file") == *"//# sourceMappingURL=$file.map" ]] || fail "/$file is not what esbuild makes"
  done
  for file in "${stages[client]}"/src/node_modules/socket.io-client/dist/*; do
    ask "/socket.io/${file##*/}" | cmp - "$file" || fail "the browser client's ${file##*/} is not the one from npm"
  done
  [[ $(ask '/socket.io/?EIO=4&transport=polling') == '0{'*'"sid":"'* ]] || fail "no Socket.IO handshake"
  local uid
  uid=$(awk '/^Uid:/ { print $2 }' "/proc/$server/status")
  [ "$uid" != 0 ] || fail "the server runs as root"

  kill -TERM "$server"
  for ((i = 0; i < 110; i++)); do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
  kill -0 "$server" 2>/dev/null && fail "the server was not gone 11 s after SIGTERM"
  local code=0
  wait "$server" || code=$?
  server=
  [ "$code" = 0 ] || { cat "$work/log" >&2; fail "the server ended with $code after SIGTERM"; }
}

[ -z "$(git status --porcelain 2>/dev/null)" ] || echo "   (what is checked is HEAD, without the changes that are not committed)"
context
build
echo "   the image:"
(cd "$root" && find . -type f -printf '   %10s  %P\n')
try
echo "   served as user $user, alone in its root: page, browser client, handshake, health check, shutdown"
