#!/usr/bin/env bash
# Makes sure that a Docker engine answers: starts one, and installs it if possible.
#
# Exits with 0 if one answers in the end, and with 3 and the reason if none can run here.
set -euo pipefail

log=${TMPDIR:-/tmp}/dockerd.log
patience=60

fail() {
  echo "no Docker engine can run here: $1" >&2
  exit 3
}

answers() {
  docker version >/dev/null 2>&1
}

if answers; then
  exit 0
fi
[[ $(id -u) == 0 ]] || fail "starting one takes root"
if ! command -v dockerd >/dev/null; then
  command -v apt-get >/dev/null || fail "dockerd is not installed, and there is no apt-get"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends docker.io iptables; } \
    >"$log" 2>&1 || fail "docker.io cannot be installed; see $log"
fi
answers && exit 0 # the package may already have started it

setsid nohup dockerd >"$log" 2>&1 </dev/null &
pid=$!
for ((second = 0; second < patience; second++)); do
  if answers; then
    echo "started a Docker engine, process $pid"
    exit 0
  fi
  kill -0 "$pid" 2>/dev/null || break
  sleep 1
done
fail "dockerd did not come up: $(tail -n 1 "$log")"
