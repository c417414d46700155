#!/usr/bin/env bash
# Runs the explorer's browser tests, including axe's accessibility checks.
#
# If no browser is available, it says so loudly and exits with 0. After that, every failure is a fault
# of the code.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
axe=4.14.1 # licensed under MPL-2.0: used here, but not part of the package

untested() {
  printf '\n******** THE EXPLORER WAS TESTED IN NO BROWSER: %s ********\n\n' "$1" >&2
  exit 0
}

if ! command -v chromium >/dev/null; then
  command -v apt-get >/dev/null || untested "there is no chromium, and no apt-get to install it"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install --yes --no-install-recommends chromium; } >/dev/null 2>&1 ||
    untested "chromium cannot be installed"
fi
folder=$PWD/.venvs/axe-core-$axe
if [[ ! -e $folder/axe.min.js ]]; then
  command -v npm >/dev/null || untested "there is no npm to fetch axe-core with"
  mkdir -p "$folder"
  (cd "$folder" && npm pack --silent "axe-core@$axe" >/dev/null && tar xzf ./*.tgz --strip-components=1) ||
    untested "axe-core cannot be fetched"
fi
AXE_CORE=$folder/axe.min.js "$python" -m pytest -m browser --durations=5 tests/explorer
