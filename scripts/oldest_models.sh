#!/usr/bin/env bash
# Runs the model tests with the oldest versions of torch and its companions that pyproject.toml
# allows, in their own environment: .venvs/oldest, created on first use. All other packages are as in
# constraints.txt. Arguments are passed to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
venv=.venvs/oldest
mark=$venv/.done
oldest='huggingface_hub|safetensors|torch|transformers|urllib3'
free='tokenizers|torchvision|timm|open_clip_torch|httpx2?|httpcore2?|truststore|typer|types-requests'

# From `"name>=version"` among the dependencies: `name==version`, one a line.
mapfile -t bounds < <(
  grep -oE "\"($oldest)>=[0-9.]+" pyproject.toml | tr -d '"' | sed 's/>=/==/' | sort --unique --version-sort
)
wanted=$(printf '%s\n' "${bounds[@]}" && cat constraints.txt)

if [[ $(cat "$mark" 2>/dev/null) != "$wanted" ]]; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
  grep -viE "^($oldest|$free)==" constraints.txt >"$venv/constraints.txt"
  "$venv/bin/pip" install --quiet --upgrade pip # an old pip does not find extras with a _ in their names
  "$venv/bin/pip" install --quiet --constraint "$venv/constraints.txt" "${bounds[@]}" \
    --editable '.[caption_images,openvino,demo,dev]' # no torchvision, as in most installations
  printf '%s\n' "$wanted" >"$mark"
fi

printf 'Tested with %s\n' "${bounds[@]}"
export HF_HUB_OFFLINE=1 PYTHONPATH=$PWD
exec "$venv/bin/python" -m pytest tests/image_toolkit/models \
  components/{image_embedding,text_embedding,caption_images}/tests "$@"
