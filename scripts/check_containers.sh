#!/usr/bin/env bash
# Builds all images and runs steps in containers: small test steps, the demo, and Kubeflow's own local
# runner.
#
# If this machine cannot run containers at all (no engine, no base image, or no package index that
# they can reach), it says so loudly and exits with 0. After that, every failure is a fault of the code.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
base=python:3.11-slim

untested() {
  printf '\n******** NO CONTAINERS WERE TESTED: %s ********\n\n' "$1" >&2
  exit 0
}

make_base() {
  echo "no registry answers; making the base image from Debian packages"
  command -v mmdebstrap >/dev/null ||
    apt-get install --yes --no-install-recommends mmdebstrap >/dev/null || return 1
  bash scripts/make_base_image.sh "$base"
}

reaches_packages() { # with these options of docker run
  docker run --rm "$@" "$base" pip download --quiet --no-deps --dest /tmp wheel
}

bash scripts/start_docker.sh || untested "no Docker engine can run here"
docker image inspect "$base" >/dev/null 2>&1 || docker pull --quiet "$base" || make_base ||
  untested "no base image can be had"
network=()
if ! reaches_packages; then
  network=(--network host)
  reaches_packages "${network[@]}" || untested "containers reach no package index"
fi

# A registry to push to, if available; its test says so if not.
command -v docker-registry >/dev/null ||
  apt-get install --yes --no-install-recommends docker-registry >/dev/null 2>&1 || true

SECONDS=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bash build_images.sh --namespace demo --repo demo -C all -- \
  ${network[@]+"${network[@]}"} >"$log" 2>&1 || {
  tail -n 40 "$log"
  exit 1
}
echo "built all images in $SECONDS s"
SECONDS=0
CONTAINERS=required "$python" -m pytest -m docker --durations=5 tests/runners
echo "ran the steps in containers in $SECONDS s"
