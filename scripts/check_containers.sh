#!/usr/bin/env bash
# Builds all images and runs the steps in containers: the small ones, the demo, and on Kubeflow's own
# local runner. Where no engine can run it says so, and ends with 0.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
base=python:3.11-slim

if ! bash scripts/start_docker.sh; then
  printf '\n%s\n\n' "******** NO CONTAINERS WERE TESTED: no Docker engine can run here ********" >&2
  exit 0
fi
if ! docker image inspect "$base" >/dev/null 2>&1 && ! docker pull --quiet "$base"; then
  echo "no registry answers; making the base image from Debian packages"
  command -v mmdebstrap >/dev/null || apt-get install --yes --no-install-recommends mmdebstrap
  bash scripts/make_base_image.sh "$base"
fi

# A registry to push to, if it can be had; its test says so if not.
command -v docker-registry >/dev/null ||
  apt-get install --yes --no-install-recommends docker-registry >/dev/null 2>&1 || true

SECONDS=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bash build_images.sh --namespace demo --repo demo -C all >"$log" 2>&1 || {
  tail -n 40 "$log"
  exit 1
}
echo "built all images in $SECONDS s"
SECONDS=0
CONTAINERS=required "$python" -m pytest -m docker --durations=5 tests/runners
echo "ran the steps in containers in $SECONDS s"
