#!/usr/bin/env bash
# Runs the tests of the models with the oldest versions of what they need that pyproject.toml allows,
# in an environment of their own, .venvs/oldest, which is made the first time.
#
# Those of torch, transformers, huggingface_hub, safetensors, requests and urllib3 are the oldest; all
# else is as constraints.txt has it.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
venv=.venvs/oldest
oldest='torch|transformers|huggingface_hub|safetensors|requests|urllib3'

# From `"name>=version...",` among the components' dependencies: `name==version`, least as written.
bounds=$(sed -nE "/^components = \[/,/^\]/s/^ *\"($oldest)>=([0-9.]+).*/\1==\2/p" pyproject.toml)
mark="$venv/.done"
wanted=$(printf '%s\n' "$bounds"; cat constraints.txt)

if [ "$(cat "$mark" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
  # What depends on them differs with their version, so only what is not theirs is held.
  grep -viE "^($oldest|tokenizers|httpx2?|typer|hf-xet|types-requests|kfp|kfp-kubernetes|kubernetes)==" \
    constraints.txt > "$venv/constraints.txt"
  # shellcheck disable=SC2086 - one word a package
  "$venv/bin/pip" install --quiet --constraint "$venv/constraints.txt" --editable \
    '.[components,openvino,demo]' pytest pytest-timeout hypothesis psutil cryptography trustme h2 \
    httpx $bounds
  printf '%s\n' "$wanted" > "$mark"
fi

printf 'Testing with:\n%s\n' "$bounds"
export HF_HUB_OFFLINE=1 PYTHONPATH="$PWD"
tests=tests/image_toolkit/models
for component in image_embedding text_embedding caption_images; do
  tests="$tests components/$component/tests"
done
# shellcheck disable=SC2086 - one word a folder
exec "$venv/bin/python" -m pytest -q $tests "$@"
