#!/bin/sh
# Makes what docker-compose.yml needs before its first start:
#   DIR/snapshotd/tokens    who may do what: names, hashes and scopes; the daemon reads it
#   DIR/prometheus_token    Prometheus sends it; it may read /metrics and nothing else
#   DIR/admin_token         yours; it may do everything
#
#   deploy/new-tokens.sh [DIR]      DIR is deploy/secrets by default, which git ignores
#
# Needs Go, or docker. More callers: append what "snapshotd token new" prints to the file.
set -eu
cd "$(dirname "$0")/.."
dir=${1:-deploy/secrets}

if [ -e "$dir/snapshotd/tokens" ]; then
  echo "$dir/snapshotd/tokens is there already; to start anew, remove $dir" >&2
  exit 1
fi

program() {
  if [ -n "${SNAPSHOTD_PROGRAM:-}" ]; then
    "$SNAPSHOTD_PROGRAM" "$@"
  elif command -v go >/dev/null; then
    go run ./cmd/snapshotd "$@"
  else
    docker compose run --rm --no-deps --build -T snapshotd "$@"
  fi
}

# token NAME SCOPES FILE MODE keeps a new token in a file, and its line in the tokens file.
token() {
  made=$(program token new "$1" --scope "$2" 2>"$dir/said") || { cat "$dir/said" >&2; exit 1; }
  rm -f "$dir/said"
  (umask 077; printf '%s\n' "$made" | sed -n 1p >"$3")
  chmod "$4" "$3"
  printf '%s\n' "$made" | sed -n 2p >>"$dir/snapshotd/tokens"
}

# Only the owner comes into DIR. Containers are given what lies in it, and read it as
# users of their own.
mkdir -p "$dir"
chmod 700 "$dir"
mkdir -p "$dir/snapshotd"
chmod 755 "$dir/snapshotd"
token prometheus metrics "$dir/prometheus_token" 644
token admin admin "$dir/admin_token" 600
chmod 644 "$dir/snapshotd/tokens"
echo "made $dir/snapshotd/tokens, $dir/prometheus_token and $dir/admin_token"
